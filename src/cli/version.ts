// `portforward version`: which build this is, and whether it has the native crypto. ssh2 silently falls back to slower code if its binding
// is missing or built for another Node, so the build of the image runs it with --check-crypto.
// Neighbours: ../main.ts, the ssh driver's ssh2-protocol.ts (knows), scripts/build.ts (sets the version), Dockerfile (checks).

/** The version of the bundle; `development` when run from source. */
export const version: string = process.env['PORTFORWARD_VERSION'] ?? 'development';

/** True if the ssh driver encrypts with ssh2's native binding. */
export async function hasNativeCrypto(): Promise<boolean> {
  const { nativeCrypto } = await import('../sidecar/drivers/ssh/base/ssh2-protocol.ts');
  return nativeCrypto;
}
