// Whether the bytes of ssh tunnels may take the native engine (docs/decisions/0014-an-engine-of-our-own-for-the-bytes-of-ssh.md): an
// administrator's decision, so it stands in the arguments of the pods, as the chart's admission policy admits it.
// Neighbours: main.ts (parses it), controller/children/pod.ts (writes it), sidecar/data-path.ts (chooses).

/** The option of `portforward sidecar` that keeps the engine off. */
export const noNativeDataPathOption = '--no-native-data-path';

/** As arguments of `portforward sidecar`: none where the engine may be used. */
export function dataPathArguments(noNativeDataPath: boolean): string[] {
  return noNativeDataPath ? [noNativeDataPathOption] : [];
}
