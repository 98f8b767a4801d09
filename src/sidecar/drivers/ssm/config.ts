// What the ssm driver is told: the tunnel config's ssm block, as the sidecar parsed it. Types only.
// Neighbours: driver.ts takes it; identity.ts, targets.ts and endpoint.ts each use a part.
import type { Credentials } from '../../../contract/tunnel-config.ts';

export interface SsmConfig {
  readonly region: string;
  /** The managed node by its id (`i-…`, `mi-…`), or every connected node that carries all these tags. */
  readonly target: { readonly instanceId: string } | { readonly tags: Readonly<Record<string, string>> };
  /** A role to take on with the pod's own identity. */
  readonly assumeRole?: {
    readonly roleArn: string;
    readonly externalId?: string;
    readonly sessionTags?: Readonly<Record<string, string>>;
  };
  /** Static keys; absent: web identity, Pod Identity, or what a laptop has. */
  readonly credentials?: Credentials;
  /** The account's limit on a session's life in minutes; 0 if there is none that is known. */
  readonly maxSessionMinutes: number;
  /** Private endpoints; empty: AWS's own of the region. */
  readonly endpoints: { readonly ssm: string; readonly ssmmessages: string; readonly sts: string };
  /** Origins besides AWS's that the operator's administrator allows. */
  readonly allowedEndpoints: readonly string[];
}
