// Whether what a tunnel holds stays flat over a soak: the last third of the samples beside the middle one. The first third is not judged,
// because code is compiled and buffers are filled then. Pure. Neighbours: soak.ts takes the samples, endurance.ts those of one value.

/** What the sidecar holds at one moment, under the same load each time. */
export interface Sample {
  /** Resident memory, in MiB. */
  readonly rss: number;
  /** Open files, most of them sockets. */
  readonly files: number;
  /** Streams over all sessions: one channel each. */
  readonly streams: number;
  /** Sessions of every role. */
  readonly sessions: number;
}

/** How much the median may grow from the second to the third third: a leak of one socket for each kill would be far more. */
const allowed: Readonly<Record<keyof Sample, (before: number) => number>> = {
  rss: (before) => before * 1.1,
  files: (before) => before + 4,
  streams: (before) => before + 4,
  sessions: (before) => before,
};

/** One sentence for each quantity that grew; none: it is flat. @throws with fewer than six samples. */
export function growth(samples: readonly Sample[]): string[] {
  const third = Math.floor(samples.length / 3);
  if (third < 2) throw new Error(`${samples.length} samples are too few to see growth; take at least 6`);
  const middle = samples.slice(-2 * third, -third);
  const last = samples.slice(-third);
  return (Object.keys(allowed) as (keyof Sample)[]).flatMap((name) => {
    const [before, after] = [median(middle, name), median(last, name)];
    return after <= allowed[name](before) ? [] : [`${name} grew from ${before.toFixed(1)} to ${after.toFixed(1)}`];
  });
}

/**
 * How much a value grows from each step to the next, apart from what garbage moves up and down: from the middle third to the last, or, of less
 * than six steps, from the first to the last.
 */
export function growthPerStep(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const third = values.length < 6 ? 0 : Math.floor(values.length / 3);
  if (third === 0) return ((values.at(-1) ?? 0) - (values[0] ?? 0)) / (values.length - 1);
  return (medianOf(values.slice(-third)) - medianOf(values.slice(-2 * third, -third))) / third;
}

export function median(samples: readonly Sample[], name: keyof Sample): number {
  return medianOf(samples.map((sample) => sample[name]));
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
