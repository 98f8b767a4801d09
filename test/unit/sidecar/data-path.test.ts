// Which processes ask for the native engine at all, and what they say if they go without it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { createLog } from '../../../src/process/log.ts';
import { chooseEngine } from '../../../src/sidecar/data-path.ts';

const hop = { host: 'bastion', port: 22, user: 'tunnel' };
const ssh = { driver: 'ssh', ssh: { jumpHosts: [] } } as unknown as TunnelConfig;
const behindJumpHost = { driver: 'ssh', ssh: { jumpHosts: [hop] } } as unknown as TunnelConfig;
const ssm = { driver: 'ssm' } as unknown as TunnelConfig;

function choose(config: TunnelConfig, allowed: boolean): { readonly engine: unknown; readonly said: string } {
  let said = '';
  const log = createLog({ destination: { write: (line) => void (said += line) } });
  return { engine: chooseEngine({ config, allowed, crashFile: '/nowhere/crashes', log }), said };
}

test('an administrator keeps it off, and the log says so', () => {
  const { engine, said } = choose(ssh, false);
  assert.equal(engine, undefined);
  assert.match(said, /the native data path is turned off/);
});

test('a tunnel that it could not carry does not ask for it, and says nothing', () => {
  for (const config of [behindJumpHost, ssm]) assert.deepEqual(choose(config, true), { engine: undefined, said: '' });
});
