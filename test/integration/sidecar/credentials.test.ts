// The Secret's files change under a running sidecar: wrong ones never end it, corrected ones are used within a second.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { generateKey } from '../../../lab/private-network/sshd.ts';
import { type Service, echo as sendBack, serve } from '../../driver-suite/destinations.ts';
import {
  type Bastion,
  client,
  openSidecar,
  startBastion,
  tunnelConfig,
  until,
  untilConnected,
} from './sidecar-world.ts';

let bastion: Bastion;
let echo: Service;

/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  bastion = started.adopt(await startBastion(), async (it) => await it.stop());
  echo = started.adopt(await serve(sendBack), async (it) => await it.stop());
});

const config = (): ReturnType<typeof tunnelConfig> => tunnelConfig([bastion.hop], { forwards: [{ port: echo.port }] });

const files = (): { 'ssh-privatekey': string; known_hosts: string } => ({
  'ssh-privatekey': bastion.privateKey,
  known_hosts: bastion.sshd.knownHosts(),
});

async function worlds(): Promise<readonly (readonly [string, () => void, string])[]> {
  const stranger = await generateKey(bastion.sshd.directory, { name: 'stranger' });
  const locked = await generateKey(bastion.sshd.directory, { name: 'locked', passphrase: 'right' });
  const other = bastion.sshd.knownHosts().replaceAll(/AAAA[\w+/=]{20}/g, 'AAAAC3NzaC1lZDI1NTE5AAAA');
  return [
    [
      'a key that is not authorized',
      () => bastion.secret.write({ 'ssh-privatekey': stranger.privateKey }),
      'AuthenticationFailed',
    ],
    [
      'a key that is cut off',
      () => bastion.secret.write({ 'ssh-privatekey': bastion.privateKey.slice(0, 100) }),
      'PrivateKeyInvalid',
    ],
    [
      'a key whose passphrase is missing',
      () => bastion.secret.write({ 'ssh-privatekey': locked.privateKey }),
      'PassphraseWrong',
    ],
    ['no known_hosts', () => bastion.secret.remove('known_hosts'), 'HostKeyUnknown'],
    [
      'a known_hosts without this host',
      () => bastion.secret.write({ known_hosts: `elsewhere ${other.split(' ').slice(1).join(' ')}` }),
      'HostKeyUnknown',
    ],
    ['no key', () => bastion.secret.remove('ssh-privatekey'), 'SecretKeyMissing'],
    [
      'no file at all',
      () => (['ssh-privatekey', 'known_hosts'] as const).forEach((name) => bastion.secret.remove(name)),
      'SecretNotFound',
    ],
  ];
}

test('each wrong Secret has its own reason, never ends the sidecar, and a correction works within a second of the files', async (t) => {
  for (const [name, spoil, code] of await worlds()) {
    await t.test(name, async () => {
      spoil();
      const sidecar = await openSidecar(config());
      try {
        await until(sidecar, () => sidecar.status().state === 'Failed');
        assert.equal(sidecar.status().reason, code);
        bastion.secret.write(files());
        const mendedAt = performance.now();
        // Without watching the files the next attempt would be a minute after the last.
        await untilConnected(sidecar, 15_000);
        const took = performance.now() - mendedAt;
        t.diagnostic(`${name}: connected ${Math.round(took)} ms after the files were fixed`);
      } finally {
        bastion.secret.write(files());
        await sidecar.stop();
      }
    });
  }
});

test('a wrong key under a working tunnel ends nothing, and a new right key takes over without a drop', async () => {
  const sidecar = await openSidecar(config());
  try {
    await untilConnected(sidecar);
    const socket = await client(sidecar);
    socket.write('x');
    await once(socket, 'data');
    const stranger = await generateKey(bastion.sshd.directory, { name: 'stranger2' });
    const seen = (): number => bastion.sshd.log().filter((line) => line.includes('Failed publickey')).length;
    const before = seen();
    bastion.secret.write({ 'ssh-privatekey': stranger.privateKey });
    await until(sidecar, () => seen() > before, 20_000);
    await until(sidecar, () => sidecar.status().credentials?.current === false, 20_000);
    assert.equal(sidecar.status().state, 'Connected');
    assert.equal(sidecar.status().credentials?.reason, 'AuthenticationFailed');
    assert.match(sidecar.status().credentials?.message ?? '', /refuses what Secret \S+ holds now/);
    const accepted = (): number => bastion.sshd.log().filter((line) => line.includes('Accepted publickey')).length;
    const logins = accepted();
    const next = await generateKey(bastion.sshd.directory, { name: 'next' });
    bastion.sshd.authorize([next.publicKey]);
    bastion.secret.write({ 'ssh-privatekey': next.privateKey });
    await until(sidecar, () => accepted() >= logins + 2, 20_000);
    await until(sidecar, () => sidecar.status().credentials?.current === true, 20_000);
    socket.write('y');
    assert.equal(String((await once(socket, 'data'))[0]), 'y', 'the connection lived through it');
    socket.destroy();
  } finally {
    await sidecar.stop();
  }
});
