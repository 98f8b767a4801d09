export function pseudoRandom(bytes: number): Generator<Buffer>;
