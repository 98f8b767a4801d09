// Kubernetes' quantities (50m, 96Mi, 1): a text, or a whole number. In the CRD they are int-or-string with a pattern.
// Neighbours: pod.ts; scripts/generate/structural.ts knows the keyword.
import { z } from 'zod';
import { mapOf } from './building-blocks.ts';
import { qualified } from './names.ts';

/** Without sign and exponent signs that nobody writes: what a resource request can be. RE2 and JavaScript read it alike. */
const form = /^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$/;

const sentence = "must be a quantity such as 50m, 0.5, 96Mi or 1Gi (quote a number with a point: '0.5')";

/** More digits than any amount of memory in bytes needs. */
const maxLength = 20;

const longExponent = /[eE][+-]?[0-9]{3}/;

/** A quantity, as text or whole number. */
const quantity = () =>
  z
    .union([z.int().min(0), z.string().max(maxLength).regex(form)], { error: sentence })
    .meta({ 'x-kubernetes-int-or-string': true, pattern: form.source, maxLength });

/**
 * Quantities by resource. The API server computes the power of ten of each quantity of a Deployment digit by digit: an exponent of nine
 * digits keeps it busy for minutes.
 */
export const quantities = () =>
  mapOf(quantity(), 16, [
    ...qualified,
    {
      rule: "self.all(key, !string(self[key]).matches('[eE][+-]?[0-9]{3}'))",
      message: 'a quantity has at most two digits of exponent: write it with a suffix, as in 96Mi or 1Gi',
      check: (entries) => Object.values(entries).every((value) => !longExponent.test(String(value))),
    },
  ]);
