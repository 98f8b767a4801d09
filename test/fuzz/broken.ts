// Broken input made of valid input, the same for the same seed. Neighbours: ssm/decoders.ts, ssh/ and sidecar/ feed it to what reads input.

/** Numbers from a seed, the same on every machine (mulberry32). */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One of the seeds with up to three faults: bits flipped, bytes cut, doubled, replaced or spliced with another seed's; or plain noise. */
export function broken(seeds: readonly Buffer[], random: () => number): Buffer {
  const below = (limit: number): number => Math.floor(random() * limit);
  const pick = (): Buffer => seeds[below(seeds.length)] ?? Buffer.alloc(0);
  let bytes: Buffer = Buffer.from(pick());
  for (let left = below(4); left > 0; left -= 1) {
    const at = below(bytes.length + 1);
    switch (below(6)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
        break;
      case 1:
        bytes = bytes.subarray(0, at);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length + 1))]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), pick()]);
        break;
      case 4:
        if (at < bytes.length) bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)] ?? 0;
        break;
      default:
        bytes = Buffer.from(Array.from({ length: below(200) }, () => below(256)));
    }
  }
  return bytes;
}
