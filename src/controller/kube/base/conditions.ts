// Status conditions as Kubernetes means them. Pure: the flow computes what is true now, this file only decides which
// `lastTransitionTime` that gets.

export interface KubeCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  /** RFC 3339, whole seconds, UTC. */
  readonly lastTransitionTime: string;
}

export type ConditionNow = Omit<KubeCondition, 'lastTransitionTime'>;

/**
 * The conditions to write, in the order of `now`. A condition keeps its `lastTransitionTime` until its `status` flips
 * (a new reason or message is no transition); types that `now` does not hold are dropped. `previous` must be the latest
 * that we wrote ourselves (the overlay's, not the cache's), or times would jump back.
 */
export function mergeConditions(
  previous: readonly KubeCondition[] | undefined,
  now: readonly ConditionNow[],
  date: Date,
): KubeCondition[] {
  const time = `${date.toISOString().slice(0, 19)}Z`;
  return now.map((condition) => {
    const before = previous?.find(({ type }) => type === condition.type);
    return { ...condition, lastTransitionTime: before?.status === condition.status ? before.lastTransitionTime : time };
  });
}
