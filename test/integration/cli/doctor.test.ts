// `portforward doctor -f`, as a person calls it. The walk itself: test/integration/sidecar/doctor.test.ts.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generateKey, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { closedPort, echo, serve } from '../../driver-suite/destinations.ts';
import { documentThrough, ended, Folder, portforward } from './laptop.ts';

let sshd: Sshd;
let folder: Folder;

before(async () => {
  folder = new Folder();
  sshd = await startSshd();
  const key = await generateKey(folder.path);
  sshd.authorize([key.publicKey]);
  folder.write('keys/ssh-privatekey', key.privateKey);
});

after(async () => {
  await sshd.stop();
  folder[Symbol.dispose]();
});

async function doctor(ports: readonly object[], ...more: readonly string[]) {
  const document = documentThrough(sshd, { ports, ssh: { knownHosts: sshd.knownHosts() } });
  const file = folder.write(`doctor-${crypto.randomUUID()}.yaml`, document);
  const child = portforward(['doctor', '-f', file, ...more]);
  try {
    return await ended(child);
  } finally {
    await child.stop();
  }
}

const keys = (): string[] => ['--secret', `orders-bastion=${join(folder.path, 'keys')}`];

test('prints each step of the way, and ends with 0 if all succeeded', async (t) => {
  const echoing = await serve(echo);
  t.after(() => echoing.stop());
  const { end, output } = await doctor([{ port: 7000, name: 'echo', destinationPort: echoing.port }], ...keys());
  assert.equal(end, 'exit 0', output);
  assert.match(output, /^shop\/orders-db from this machine\nbastion 127\.0\.0\.1:\d+\n {2}ok {4}credentials /);
  assert.match(output, /\n {2}ok {4}login +[\d.]+ ms {2}accepted: ssh-ed25519 SHA256:/);
  assert.match(output, /\nport echo: localhost:\d+\n {2}ok {4}dial /);
  assert.match(output, /\nevery step succeeded \(10\)$/);
});

test('--output json is one document; a fault ends it with 1', async (t) => {
  const { port, stop } = await closedPort();
  t.after(stop);
  const { end, output } = await doctor([{ port: 7000, destinationPort: port }], ...keys(), '--output', 'json');
  assert.equal(end, 'exit 1', output);
  const report = JSON.parse(output);
  assert.deepEqual([report.name, report.from, report.ok], ['orders-db', 'this machine', false]);
  const { step, ok, reason, remedy, advice } = report.steps.at(-1);
  assert.deepEqual([step, ok, reason], ['dial', false, 'DestinationRefused']);
  assert.match(remedy, /Start the service/);
  assert.equal(advice[0].command, `nc -vz -w 5 localhost ${port}`);
});

test('a Secret that is not here ends it with 2, and says how to give it', async () => {
  const { end, output } = await doctor([{ port: 7000 }]);
  assert.equal(end, 'exit 2', output);
  assert.match(output, /^portforward: the Secret orders-bastion is missing here: give --secret/);
});
