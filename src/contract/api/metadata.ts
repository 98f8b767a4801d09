// metadata of a PortForward: the part of Kubernetes' ObjectMeta that documents and stored objects carry. The API server checks it
// with its own code; this is the twin for `portforward check` and the type for the controller. It is not part of the CRD.
// Neighbours: portforward.ts.
import { z } from 'zod';
import { objectName } from './names.ts';

const annotationBytes = 256 * 1024;
const qualifiedKey =
  /^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/;

const keyed = (what: string, good: (value: string) => boolean) =>
  z.record(z.string(), z.string()).superRefine((entries, context) => {
    for (const [key, value] of Object.entries(entries)) {
      if (!qualifiedKey.test(key))
        context.addIssue({ code: 'custom', message: `${key} is not a valid key of ${what}`, path: [] });
      else if (!good(value))
        context.addIssue({ code: 'custom', message: `the value of ${key} is not valid in ${what}`, path: [] });
    }
    const bytes = Object.entries(entries).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
    if (bytes > annotationBytes)
      context.addIssue({ code: 'custom', message: `${what} has more than 256 KiB`, path: [] });
  });

const ownerReference = z.strictObject({
  apiVersion: z.string().min(1),
  kind: z.string().min(1),
  name: z.string().min(1),
  uid: z.string().min(1),
  controller: z.boolean().exactOptional(),
  blockOwnerDeletion: z.boolean().exactOptional(),
});

export const metadataSchema = z
  .strictObject({
    name: objectName('PortForward').exactOptional(),
    generateName: z.string().max(253).exactOptional(),
    namespace: z.string().max(63).exactOptional(),
    labels: keyed('metadata.labels', (value) => labelValue.test(value)).exactOptional(),
    annotations: keyed('metadata.annotations', () => true).exactOptional(),
    finalizers: z.array(z.string()).exactOptional(),
    ownerReferences: z.array(ownerReference).exactOptional(),
    uid: z.string().exactOptional(),
    resourceVersion: z.string().exactOptional(),
    generation: z.int().exactOptional(),
    creationTimestamp: z.string().nullable().exactOptional(),
    deletionTimestamp: z.string().nullable().exactOptional(),
    deletionGracePeriodSeconds: z.int().nullable().exactOptional(),
    selfLink: z.string().exactOptional(),
    managedFields: z.array(z.looseObject({})).exactOptional(),
  })
  .superRefine((metadata, context) => {
    if (metadata.name === undefined && metadata.generateName === undefined) {
      context.addIssue({ code: 'custom', message: 'name is required', path: ['name'] });
    }
  });
