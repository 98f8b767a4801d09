// What a driver's block of the spec means for the pods that carry it, beside the tunnel config and the mounted Secrets, which are the
// same work for every driver (contract/tunnel-config-of.ts, contract/secrets.ts).
// Neighbours: index.ts (the table); ../children/ uses the plan.

import type { Permissions } from '../../contract/permissions.ts';

export interface DriverPlan {
  readonly environment: readonly { readonly name: string; readonly value: string }[];
  /** Of what the administrator allows: what these pods use. */
  readonly permissions: Permissions;
  /** Name of a ConfigMap with the key ca.crt whose certificates the pods trust besides the public ones; '' = none. */
  readonly caBundle: string;
  /** Annotations of the tunnel's own ServiceAccount, such as a cloud role. */
  readonly serviceAccountAnnotations: Readonly<Record<string, string>>;
  /** Whether the pods get a volume in memory at `memoryDirectory`. Default: no. */
  readonly memoryFolder?: boolean;
}
