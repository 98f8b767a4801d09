import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TunnelConfig } from '../../../../src/contract/tunnel-config.ts';
import { adviceFor } from '../../../../src/sidecar/doctor/advice.ts';
import { shellWord } from '../../../../src/sidecar/doctor/shell-word.ts';
import { tunnelConfig } from '../../../integration/sidecar/sidecar-world.ts';

const hop = (host: string, user = 'tunnel') => ({ host, port: 22, user });
const through = (user = 'tunnel'): TunnelConfig =>
  tunnelConfig([hop('a.example.com', user), hop('b.example.com')], {
    forwards: [{ port: 5432 }],
    ssh: { jumpHosts: [hop('jump.example.com')] },
  });

test('a word of a shell is quoted where it must be', () => {
  assert.equal(shellWord('tunnel'), 'tunnel');
  assert.equal(shellWord('$(id)'), `'$(id)'`);
  assert.equal(shellWord(`o'neil;x`), `'o'\\''neil;x'`);
});

test('a user’s name cannot become a command of its own', () => {
  const [advice] = adviceFor('AuthenticationFailed', {
    config: through('x;reboot'),
    at: 'bastion a.example.com:22',
    forward: undefined,
  });
  assert.match(advice?.command ?? '', /getent passwd 'x;reboot' /);
});

test('the command is for the machine that the step is about', () => {
  const where = (at: string): string | undefined =>
    adviceFor('BastionLost', { config: through(), at, forward: undefined })[0]?.where;
  assert.equal(where('jump host jump.example.com:22'), 'on the jump host jump.example.com:22');
  assert.equal(where('bastion b.example.com:22'), 'on the bastion b.example.com:22');
});

test('a port behind one of several bastions is asked for there', () => {
  const config = through();
  const [forward] = config.forwards;
  const at = 'port p5432: 127.0.0.1:5432 through b.example.com:22';
  assert.deepEqual(adviceFor('DestinationTimeout', { config, at, forward }), [
    { where: 'on the bastion b.example.com:22', command: 'nc -vz -w 5 127.0.0.1 5432' },
  ]);
});
