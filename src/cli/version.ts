// `portforward version`: which build this is, and whether the native crypto is in it. ssh2 falls back to slower code without a word when
// its binding is missing or built for another Node, so the image's build asks with --check-crypto and fails.
// Neighbours: ../main.ts, scripts/build.ts (fills in the version), Dockerfile (asks).

export interface CryptoState {
  readonly native: boolean;
}

/** The version that the bundle was made of; `development` when run from sources. */
export const version: string = process.env['PORTFORWARD_VERSION'] ?? 'development';

/** Whether ssh2 encrypts by its native binding. */
export async function cryptoState(): Promise<CryptoState> {
  // A file inside ssh2: the fact is nowhere in its public interface.
  const { default: crypto } = (await import('ssh2/lib/protocol/crypto.js')) as {
    default: { bindingAvailable: boolean };
  };
  return { native: crypto.bindingAvailable };
}
