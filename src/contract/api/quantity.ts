// Kubernetes' quantities (50m, 96Mi, 1): a text, or a whole number. In the CRD they are int-or-string with a pattern.
// Neighbours: pod.ts; scripts/generate/structural.ts knows the keyword.
import { z } from 'zod';

/** Without sign and exponent signs that nobody writes: what a resource request can be. RE2 and JavaScript read it alike. */
const form = /^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$/;

const sentence = "must be a quantity such as 50m, 0.5, 96Mi or 1Gi (quote a number with a point: '0.5')";

/** A quantity, as text or whole number. */
export const quantity = () =>
  z
    .union([z.int().min(0), z.string().max(32).regex(form)], { error: sentence })
    .meta({ 'x-kubernetes-int-or-string': true, pattern: form.source, maxLength: 32 });
