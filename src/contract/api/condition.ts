// Condition types, and the reasons that are not errors (errors are the codes of contract/error-codes.ts).
// Neighbours: status.ts (where conditions are stored), controller/status/conditions.ts (gives the reasons), scripts/generate/errors-page.ts
// (puts them into docs/errors.md).

/** In the order in which they are shown. Reconciling and Stalled are abnormal-true: absent when all is normal (kstatus). */
export const conditionTypes = [
  'Accepted',
  'Programmed',
  'Connected',
  'DestinationReachable',
  'CredentialsCurrent',
  'Ready',
  'Reconciling',
  'Stalled',
] as const;

export type ConditionType = (typeof conditionTypes)[number];

/** `status.observedGeneration` of a status that no operator has written: the CRD's default. */
export const unseenGeneration = -1;

/** Reasons of conditions beside the error codes, each with its meaning. */
export const conditionReasons = {
  Pending:
    'No operator has looked at the document yet. If it stays, none serves its spec.className, or its namespace is not watched.',
  Accepted: 'The document is valid and this operator acts on it.',
  Programmed: 'All objects of the tunnel are written as the document wants them.',
  Connected: 'At least one tunnel pod is ready.',
  Reachable: 'Every destination answered last.',
  Current: 'Every host that was logged in to accepts what the Secrets hold now.',
  NotTried: 'Not every ready pod has logged in with what the Secrets hold now.',
  Ready: 'A client that dials the Service is carried to the destination.',
  Progressing: 'The operator is at work on the document, or its pods are rolling out.',
  TimedOut: 'The tunnel was never ready within 120 s.',
  Suspended: 'spec.suspend is true: no pods run, the Service is kept.',
  ScaledToZero: 'spec.replicas is 0.',
  Idle: 'OnDemand without a client: the tunnel opens with the first one.',
  NotChecked: 'healthCheck.destination is Off.',
  NoResultYet:
    'No destination was probed or dialled yet, or ready pods still carry to the one that an earlier document named.',
} as const;
