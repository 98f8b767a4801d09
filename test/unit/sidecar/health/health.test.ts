// When destinations are asked, what counts as an answer, and what clients' dials add.
import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import type { Forward } from '../../../../src/contract/tunnel-config.ts';
import { silentLog } from '../../../../src/process/log.ts';
import { Health } from '../../../../src/sidecar/health/health.ts';
import { probe } from '../../../../src/sidecar/health/probe.ts';
import { Reachability } from '../../../../src/sidecar/health/reachability.ts';
import type { TunnelSnapshot } from '../../../../src/sidecar/tunnel/snapshot.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { down, orders } from '../tunnel/memory-driver.ts';

/** A tunnel as health sees it: up or not, and destinations that answer as told. */
class FakeTunnel {
  snapshot: TunnelSnapshot = { state: 'Connecting', since: new Date(0), routes: [] };
  readonly asked: string[] = [];
  answer: string | TunnelError = 'N';
  #listener: () => void = () => undefined;

  onChange(listener: () => void): () => void {
    this.#listener = listener;
    return () => undefined;
  }

  become(state: TunnelSnapshot['state']): void {
    this.snapshot = { state, since: new Date(0), routes: [] };
    this.#listener();
  }

  async probe(forward: Forward): Promise<{ stream: Duplex; signal: AbortSignal; via: string }> {
    this.asked.push(forward.name);
    if (this.answer instanceof TunnelError) throw this.answer;
    return { stream: answering(this.answer), signal: new AbortController().signal, via: 'a:22' };
  }
}

/** A destination that answers the first bytes with that text; an empty text is silence. */
function answering(text: string): Duplex {
  const [near, far] = duplexPair();
  far.on('error', () => undefined);
  far.once('data', () => {
    if (text !== '') far.write(text);
  });
  return near;
}

interface Watch {
  readonly clock: FakeClock;
  readonly tunnel: FakeTunnel;
  readonly health: Health;
  readonly changes: () => number;
}

function watch(
  health: Forward['health'],
  appProtocol: Forward['appProtocol'] = 'postgresql',
  optimisticDials = false,
): Watch {
  const clock = new FakeClock();
  const tunnel = new FakeTunnel();
  let changes = 0;
  const watching = new Health({
    tunnel,
    forwards: [{ ...orders, health, appProtocol }],
    config: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
    optimisticDials,
    clock,
    random: () => 0,
    log: silentLog(),
    onChange: () => {
      changes += 1;
    },
  });
  return { clock, tunnel, health: watching, changes: () => changes };
}

const reachable = ({ health }: Watch): boolean | undefined => health.of('postgres')?.reachable;

test('Active: asked when the transport comes up and every interval, and not while it is down', async () => {
  const w = watch('Active');
  await w.clock.advance(60_000);
  assert.equal(w.tunnel.asked.length, 0);
  w.tunnel.become('Connected');
  await w.clock.advance(0);
  assert.equal(reachable(w), true, 'the first result decides');
  await w.clock.advance(30_000);
  assert.equal(w.tunnel.asked.length, 4);
  w.tunnel.become('Failed');
  await w.clock.advance(60_000);
  assert.equal(w.tunnel.asked.length, 4);
  w.health.close();
  assert.equal(w.clock.pending, 0);
});

test('Active: failures count once they are three in a row after a success, a success counts at once', async () => {
  const w = watch('Active');
  w.tunnel.become('Connected');
  await w.clock.advance(0);
  w.tunnel.answer = down('orders.db:5432');
  await w.clock.advance(20_000);
  assert.equal(reachable(w), true, 'two failures are not enough');
  await w.clock.advance(10_000);
  assert.equal(reachable(w), false);
  assert.equal(w.health.of('postgres')?.failure?.code, 'DestinationRefused');
  w.tunnel.answer = 'N';
  await w.clock.advance(10_000);
  assert.equal(reachable(w), true);
  assert.equal(w.health.of('postgres')?.failure, undefined);
  assert.equal(w.changes(), 3);
  w.health.close();
});

test('Active: a silent destination is reported after interval × threshold + timeout, because probes begin an interval apart', async () => {
  const w = watch('Active');
  w.tunnel.become('Connected');
  await w.clock.advance(0);
  w.tunnel.answer = '';
  await w.clock.advance(32_900);
  assert.equal(reachable(w), true);
  await w.clock.advance(200);
  assert.equal(reachable(w), false);
  w.health.close();
});

test('Active: what clients’ dials show does not count', async () => {
  const w = watch('Active');
  w.health.recordDial(orders, down('orders.db:5432'));
  assert.equal(reachable(w), undefined);
  w.health.close();
});

test('Passive: one dial when the transport comes up, then only clients’ dials count', async () => {
  const w = watch('Passive', 'tcp');
  w.tunnel.become('Connected');
  await w.clock.advance(600_000);
  assert.equal(w.tunnel.asked.length, 1);
  assert.equal(reachable(w), true);
  const forward: Forward = { ...orders, health: 'Passive', appProtocol: 'tcp' };
  for (let i = 0; i < 3; i++) w.health.recordDial(forward, down('orders.db:3306'));
  assert.equal(reachable(w), false);
  w.health.close();
});

test('Passive: while unreachable it is dialled every interval, because no client may come; a success ends that', async () => {
  const w = watch('Passive', 'tcp');
  w.tunnel.answer = down('orders.db:5432');
  w.tunnel.become('Connected');
  await w.clock.advance(25_000);
  assert.equal(reachable(w), false);
  assert.equal(w.tunnel.asked.length, 3);
  w.tunnel.answer = '';
  await w.clock.advance(600_000);
  assert.equal(reachable(w), true);
  assert.equal(w.tunnel.asked.length, 4);
  w.health.close();
});

test('Off: never asked, never judged', async () => {
  const w = watch('Off');
  w.tunnel.become('Connected');
  await w.clock.advance(60_000);
  assert.equal(w.tunnel.asked.length, 0);
  assert.equal(w.health.of('postgres'), undefined);
  w.health.close();
});

test('what the bastion did says nothing about the destination', async () => {
  const w = watch('Active');
  w.tunnel.answer = new TunnelError('BastionLost', 'lost');
  w.tunnel.become('Connected');
  await w.clock.advance(60_000);
  assert.equal(reachable(w), undefined);
  w.health.close();
});

test('an idle tunnel knows nothing of its destinations', async () => {
  const w = watch('Active');
  w.tunnel.become('Connected');
  await w.clock.advance(0);
  assert.equal(reachable(w), true);
  w.tunnel.become('Idle');
  assert.equal(reachable(w), undefined);
  w.health.close();
});

test('a destination that accepts but does not speak is reported as such, after the timeout at the latest', async () => {
  const w = watch('Active');
  w.tunnel.answer = '';
  w.tunnel.become('Connected');
  await w.clock.advance(3_100);
  assert.equal(w.health.of('postgres')?.failure?.code, 'DestinationNotSpeaking');
  w.health.close();
});

const cases: readonly (readonly [Forward['appProtocol'], string, boolean])[] = [
  ['postgresql', 'N', true],
  ['postgresql', 'G', true],
  ['postgresql', 'E\0\0\0\x10', true],
  ['postgresql', 'HTTP/1.1 400', false],
  ['redis', '+PONG\r\n', true],
  ['redis', '-NOAUTH Authentication required.\r\n', true],
  ['redis', '-LOADING Redis is loading the dataset in memory\r\n', false],
  ['redis', 'N', false],
  ['http', 'HTTP/1.1 404 Not Found\r\n', true],
  ['http', 'SSH-2.0-OpenSSH', false],
];

for (const [appProtocol, answer, speaks] of cases) {
  test(`${appProtocol}: ${JSON.stringify(answer)} ${speaks ? 'is an answer' : 'is none'}`, async () => {
    const stream = answering(answer);
    const asked = probe({ ...orders, appProtocol }, stream, new AbortController().signal);
    if (speaks) await asked;
    else await assert.rejects(asked, { code: 'DestinationNotSpeaking' });
    assert.equal(stream.destroyed, true);
  });
}

test('a destination that hangs up without an answer does not speak', async () => {
  const [near, far] = duplexPair();
  far.once('data', () => far.end());
  await assert.rejects(probe(orders, near, new AbortController().signal), { code: 'DestinationNotSpeaking' });
});

test('an opened stream is answer enough where there is no question', async () => {
  for (const appProtocol of ['tcp', 'tls'] as const) {
    const [near, far] = duplexPair();
    let heard = '';
    far.on('data', (chunk: Buffer) => {
      heard += String(chunk);
    });
    await probe({ ...orders, appProtocol }, near, new AbortController().signal);
    assert.equal(heard, '', 'nothing is said to it');
  }
});

test('where a dial shows nothing, a refusal has time to come, and silence, a byte or an end is answer enough', async () => {
  const refusal = new TunnelError('DestinationUnreachable', 'the agent could not connect');
  const tcp: Forward = { ...orders, appProtocol: 'tcp' };
  const { signal } = new AbortController();
  for (const happens of ['a refusal', 'silence', 'a byte', 'an end'] as const) {
    const clock = new FakeClock();
    const [near, far] = duplexPair();
    near.on('error', () => undefined);
    const asked = probe(tcp, near, signal, { clock, ms: 2_000 });
    const outcome = asked.then(
      () => 'reachable',
      (error: unknown) => error,
    );
    await clock.advance(1_900);
    if (happens === 'a refusal') near.destroy(refusal);
    else if (happens === 'a byte') far.write('220 mail.example.com\r\n');
    else if (happens === 'an end') far.end();
    else await clock.advance(200);
    assert.equal(await outcome, happens === 'a refusal' ? refusal : 'reachable', happens);
    assert.equal(clock.pending, 0);
  }
  const [near] = duplexPair();
  near.on('error', () => undefined);
  const asked = probe(orders, near, signal);
  near.destroy(refusal);
  await assert.rejects(asked, refusal, 'the refusal, and not the missing answer');
});

test('Passive, where a dial shows nothing: the first result waits for news, and half the timeout is enough of it', async () => {
  const w = watch('Passive', 'tcp', true);
  w.tunnel.become('Connected');
  await w.clock.advance(1_400);
  assert.equal(reachable(w), undefined);
  await w.clock.advance(200);
  assert.equal(reachable(w), true);
  w.health.close();
});

test('the first result of all decides, whatever the threshold', () => {
  const reachability = new Reachability(3);
  assert.equal(reachability.reachable, undefined);
  assert.equal(reachability.record(down('x')), true);
  assert.equal(reachability.reachable, false);
  assert.equal(reachability.record(undefined), true);
  assert.equal(reachability.record(down('x')), false);
  assert.equal(reachability.reachable, true);
});
