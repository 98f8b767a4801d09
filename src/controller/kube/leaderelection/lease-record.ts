// What the Lease says, and the rules by which it passes from one holder to the next. Pure; `elector.ts` brings time and
// the API server.
import { microTime } from '../base/micro-time.ts';
import type { OwnerReference } from '../base/object.ts';
import type { Lease } from '../base/resources.ts';

export interface LeaseRecord {
  /** '' when released. */
  readonly holder: string;
  readonly durationSeconds: number;
  readonly acquireTime: string;
  readonly renewTime: string;
  readonly transitions: number;
}

/** The record of a lease, with zero values for what it lacks. */
export function recordOf({ spec }: Lease): LeaseRecord {
  return {
    holder: spec?.holderIdentity ?? '',
    durationSeconds: spec?.leaseDurationSeconds ?? 0,
    acquireTime: String(spec?.acquireTime ?? ''),
    renewTime: String(spec?.renewTime ?? ''),
    transitions: spec?.leaseTransitions ?? 0,
  };
}

/** The record with which `identity` takes or renews the lease at `date`. */
export function claim(
  before: LeaseRecord | undefined,
  identity: string,
  durationSeconds: number,
  date: Date,
): LeaseRecord {
  const now = microTime(date);
  const renewal = before?.holder === identity;
  return {
    holder: identity,
    durationSeconds,
    acquireTime: renewal ? before.acquireTime : now,
    renewTime: now,
    transitions: before === undefined ? 0 : before.transitions + (renewal ? 0 : 1),
  };
}

/** The record that lets the next one take over at once. */
export function released(before: LeaseRecord, date: Date): LeaseRecord {
  const now = microTime(date);
  return { holder: '', durationSeconds: 1, acquireTime: now, renewTime: now, transitions: before.transitions };
}

/** The lease with a new record; everything else of it stays. */
export function withRecord(lease: Lease, record: LeaseRecord): Lease {
  return {
    ...lease,
    spec: {
      ...lease.spec,
      holderIdentity: record.holder,
      leaseDurationSeconds: record.durationSeconds,
      acquireTime: record.acquireTime,
      renewTime: record.renewTime,
      leaseTransitions: record.transitions,
    },
  };
}

/** The lease as this owner's: the garbage collector deletes it with the owner. */
export function withOwner(lease: Lease, owner: OwnerReference | undefined): Lease {
  if (owner === undefined) return lease;
  return { ...lease, metadata: { ...lease.metadata, ownerReferences: [owner] } };
}
