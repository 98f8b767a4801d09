// `portforward version`: which build this is, and whether it has the native crypto and the native engine. ssh2 silently falls back to slower
// code if its binding is missing or built for another Node, and the sidecar carries in JavaScript without the engine, so the build of the
// image runs it with --check-crypto and --check-data-path.
// Neighbours: ../main.ts, the ssh driver's ssh2-protocol.ts and the sidecar's native-addon.ts (know), scripts/build.ts (sets the version),
// Dockerfile (checks).

/** The version of the bundle; `development` when run from source. */
export const version: string = process.env['PORTFORWARD_VERSION'] ?? 'development';

/** True if the ssh driver encrypts with ssh2's native binding. */
export async function hasNativeCrypto(): Promise<boolean> {
  const { nativeCrypto } = await import('../sidecar/drivers/ssh/base/ssh2-protocol.ts');
  return nativeCrypto;
}

/** Why this build cannot use the native engine for the bytes of ssh; undefined if it can. */
export async function whyNoNativeDataPath(): Promise<string | undefined> {
  const { loadEngine } = await import('../sidecar/base/native-addon.ts');
  const { givesKeys, whyNoKeys } = await import('../sidecar/drivers/ssh/base/ssh2-protocol.ts');
  return loadEngine().because ?? (givesKeys() ? undefined : whyNoKeys);
}
