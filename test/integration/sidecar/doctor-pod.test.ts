// `doctor` in a running pod: the sidecar walks, over sessions of its own, and the tunnel's are untouched.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { askTunnel } from '../../../src/cli/ask-tunnel.ts';
import { echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { type Pod, startPod } from './pod.ts';
import { type Bastion, startBastion, tunnelConfig } from './sidecar-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'portforward-doctor-'));
const path = join(folder, 'doctor.sock');
let bastion: Bastion;
let echoing: Service;
let pod: Pod;
before(async () => {
  [bastion, echoing] = await Promise.all([startBastion(), serve(echo)]);
  // What a process leaves behind that was killed.
  writeFileSync(path, '');
  process.env['PF_TEST_DOCTOR_SOCKET'] = path;
  pod = await startPod(tunnelConfig([bastion.hop], { forwards: [{ name: 'echo', port: echoing.port }] }));
  await pod.child.until(async () => (await pod.readiness()).status === 200, 30_000);
});
after(async () => {
  delete process.env['PF_TEST_DOCTOR_SOCKET'];
  await pod.child.stop();
  await Promise.all([bastion.stop(), echoing.stop()]);
  rmSync(folder, { recursive: true });
});

async function ask(output: 'text' | 'json' = 'text') {
  const [lines, complaints]: [string[], string[]] = [[], []];
  const exit = await askTunnel({
    path,
    output,
    print: (line) => lines.push(line),
    complain: (line) => complaints.push(line),
  });
  return { exit, text: lines.join('\n'), complaints };
}

test('the walk begins with the tunnel’s own state, and a client of the tunnel notices nothing of it', async () => {
  const client = connect(pod.ports[0] ?? 0, '127.0.0.1');
  client.write('before');
  await once(client, 'data');
  // The tunnel keeps two sessions.
  await pod.child.until(async () => (await pod.metric('portforward_tunnel_sessions{part="live"')) === 2, 30_000);
  const { exit, text, complaints } = await ask();
  assert.deepEqual([exit, complaints], [0, []], text);
  const via = `${bastion.hop.host}:${bastion.hop.port}`;
  const [head, state] = text.split('\n');
  assert.equal(head, 'test/orders-db from pod uid-1');
  assert.equal(state, `  the tunnel itself: Connected via ${via}; 1 client connections`);
  assert.match(text, /\n {2}ok {4}protocol tcp .*\nevery step succeeded \(10\)$/);
  client.write('after');
  const [answer] = (await once(client, 'data')) as [Buffer];
  assert.equal(String(answer), 'after');
  client.destroy();
  // By number, sshd having two processes for each: if an attempt was slow, the tunnel has opened one session more, and ends an earlier one
  // for it about now.
  await eventually(
    'only the tunnel’s own sessions are left, and two of them are live',
    async () =>
      bastion.sshd.sessions().length === 2 * 2 && (await pod.metric('portforward_tunnel_sessions{part="live"')) === 2,
  );
});

test('json is one document, and a fault ends it with 1', async (t) => {
  bastion.sshd.authorize([]);
  t.after(async () => bastion.sshd.authorize([bastion.publicKey]));
  const { exit, text } = await ask('json');
  assert.equal(exit, 1, text);
  const { from, tunnel, steps } = JSON.parse(text);
  assert.equal(from, 'pod uid-1');
  assert.match(tunnel, /^Connected via /);
  const { step, reason } = steps.at(-1);
  assert.deepEqual([step, reason], ['login', 'AuthenticationFailed']);
});

/** A caller that asks by itself, and the lines that it reads. */
function caller(question: string): { readonly socket: Socket; readonly lines: AsyncIterator<string> } {
  const socket = connect(path).on('error', () => undefined);
  socket.write(question);
  return { socket, lines: createInterface({ input: socket })[Symbol.asyncIterator]() };
}

test('one walks at a time; a caller that goes away ends its walk', async (t) => {
  // The walk cannot come to its end meanwhile.
  bastion.sshd.pause();
  t.after(() => bastion.sshd.resume());
  const { socket, lines } = caller('text\n');
  await lines.next();
  const second = await ask();
  assert.equal(second.exit, 1);
  assert.deepEqual(second.complaints, ['another doctor walks in this pod now: call again in a moment']);
  socket.destroy();
  bastion.sshd.resume();
  await eventually('the next one walks', async () => (await ask()).exit === 0);
});

test('whoever asks for something else is told nothing of the tunnel', async () => {
  const { socket, lines } = caller('secrets\n');
  const { value } = await lines.next();
  assert.deepEqual(Object.keys(JSON.parse(value)), ['error']);
  socket.destroy();
});

test('only the pod’s own user may ask', () => {
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('a pod without the socket is told as that', async () => {
  const complaints: string[] = [];
  const exit = await askTunnel({
    path: join(folder, 'nothing.sock'),
    output: 'text',
    print: () => assert.fail('a line'),
    complain: (line) => complaints.push(line),
  });
  assert.equal(exit, 1);
  assert.match(complaints.join(), /^no tunnel answers here/);
});
