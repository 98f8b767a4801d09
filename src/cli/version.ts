// `portforward version`: which build this is, and whether the native crypto is in it. ssh2 falls back to slower code without a word when
// its binding is missing or built for another Node, so the image's build asks with --check-crypto and fails.
// Neighbours: ../main.ts, the ssh driver's ssh2-hardening.ts (knows), scripts/build.ts (fills in the version), Dockerfile (asks).

/** The version that the bundle was made of; `development` when run from sources. */
export const version: string = process.env['PORTFORWARD_VERSION'] ?? 'development';

/** Whether the ssh driver encrypts by ssh2's native binding. */
export async function hasNativeCrypto(): Promise<boolean> {
  const { nativeCrypto } = await import('../sidecar/drivers/ssh/base/ssh2-hardening.ts');
  return nativeCrypto;
}
