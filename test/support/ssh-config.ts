// The ssh block of a tunnel config with the API's defaults. Neighbour: src/contract/tunnel-config.ts.
import type { Hop, SshConfig } from '../../src/contract/tunnel-config.ts';

export function sshConfig(bastions: readonly Hop[], more: Partial<SshConfig> = {}): SshConfig {
  return {
    bastions: [...bastions],
    bastionPolicy: 'Ordered',
    jumpHosts: [],
    knownHosts: '',
    hostKeyPolicy: 'Strict',
    serverAliveIntervalSeconds: 2,
    connectTimeoutSeconds: 10,
    ...more,
  };
}
