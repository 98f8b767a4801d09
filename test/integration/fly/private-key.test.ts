// WireGuard's private key leaves the pod's memory on no way: not in a log line at debug, not in what the helper says, even when it crashes, not in
// a request to fly.io, not at the admin port. Neighbours: peers.test.ts, src/sidecar/drivers/fly/peer.ts (makes and keeps the key).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { assertEvery, assertSome } from '../../support/assert-every.ts';
import { client, until, untilConnected } from '../sidecar/sidecar-world.ts';
import { echoed } from './echoed.ts';
import { flyHelper, signalHelpers } from './fly-helper.ts';
import { flyPlace, token } from './fly-sidecar.ts';

/** As WireGuard, JSON Web Keys and wireguard-go write it. */
function formsOf(privateKey: string): readonly string[] {
  const bytes = Buffer.from(privateKey, 'base64');
  assert.equal(bytes.length, 32);
  const [base64, hex] = [bytes.toString('base64').replace('=', ''), bytes.toString('hex')];
  return [base64, bytes.toString('base64url'), hex, hex.toUpperCase()];
}

const holdsNone = (secrets: readonly string[]) => (said: string) => !secrets.some((secret) => said.includes(secret));

test('no private key of a pod, and no token, is in a log, at the admin port or in a request', async (t) => {
  const { world, secret, said, open } = await flyPlace(t);
  const directory = mkdtempSync(join(tmpdir(), 'pf-memory-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const keptKey = (): string =>
    (JSON.parse(readFileSync(join(directory, 'peer.json'), 'utf8')) as { readonly privateKey: string }).privateKey;
  const sidecar = await open({ fly: { directory } });
  await untilConnected(sidecar);
  const first = keptKey();
  // Connections are logged at debug.
  const socket = await client(sidecar);
  await echoed(socket);
  socket.destroy();
  await until(sidecar, () => said.some((line) => line.includes('"level":"debug"')));
  // A crash prints the stacks of the helper; its last words are logged.
  signalHelpers('SIGQUIT');
  await until(sidecar, () => said.some((line) => line.includes('last words of the fly helper')));
  await untilConnected(sidecar);
  // A new token makes a second peer.
  const next = token.replace('0123', '3210');
  world.api.tokens.add(next);
  secret.write({ FLY_API_TOKEN: next });
  await until(sidecar, () => keptKey() !== first);
  const keys = [first, keptKey()].flatMap(formsOf);
  const pages = ['statusz', 'readyz', 'metrics'].map(async (page) => {
    const answer = await fetch(`http://127.0.0.1:${sidecar.adminPort}/${page}`);
    return await answer.text();
  });
  const shown = await Promise.all(pages);
  await sidecar.stop({ drainMs: 0 });
  assertSome(world.api.bodies, (body) => body.includes('pubkey'), 'requests are recorded');
  assertEvery([...said, ...shown], holdsNone([...keys, token, next]), 'no secret is shown');
  assertEvery(world.api.bodies, holdsNone([...keys, token, next]), 'no secret is in the body of a request');
});

test('the helper repeats no private key, whatever is wrong with a request', async () => {
  const { d = '' } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const privateKey = Buffer.from(d, 'base64url').toString('base64');
  const device = { op: 'open', device: 'one', privateKey, gatewayKey: privateKey, address: 'fdaa:0:18::1', mtu: 1280 };
  const helper = spawn(await flyHelper(), [], { stdio: 'pipe' });
  const requests = [
    device,
    device,
    { ...device, device: 'two', privateKey: `${privateKey}A` },
    { ...device, device: 'three', gatewayKey: `${privateKey}A` },
    { ...device, device: 'four', address: privateKey },
    { op: 'transport', device: 'one', transport: 'udp', endpoint: 'nowhere' },
    { op: 'stats', device: 'one' },
    { op: 'unknown', device: 'one', privateKey },
  ];
  const answers: string[] = [];
  const errors = text(helper.stderr);
  const ended = once(helper, 'close');
  for (const [id, request] of requests.entries()) helper.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
  for await (const line of createInterface({ input: helper.stdout })) {
    // The last line ends it, with what it has not answered yet.
    if (answers.push(line) === requests.length) helper.stdin.end(`{"privateKey":"${privateKey}\n`);
  }
  await ended;
  const said = [...answers, ...(await errors).split('\n')];
  assertSome(said, (line) => line.includes('the private key is not 32 bytes'), 'the wrong key is refused');
  assertSome(said, (line) => line.includes('"stats":'), 'the device is there');
  assertSome(said, (line) => line.includes('a request is not JSON'), 'the last line is refused');
  assertEvery(said, holdsNone(formsOf(privateKey)), 'no answer and no error has the key');
});
