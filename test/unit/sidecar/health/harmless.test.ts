// Probes that do no harm: how often a destination is asked when sessions come and go or clients fail, and how MySQL is asked.
import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import type { TunnelError } from '../../../../src/contract/errors.ts';
import type { Forward } from '../../../../src/contract/tunnel-config.ts';
import { silentLog } from '../../../../src/process/log.ts';
import { Health } from '../../../../src/sidecar/health/health.ts';
import { probe } from '../../../../src/sidecar/health/probe.ts';
import type { TunnelSnapshot } from '../../../../src/sidecar/tunnel/snapshot.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { down, noLogin, orders } from '../tunnel/memory-driver.ts';

const greeting = Buffer.from('\x4a\0\0\0\x0a5.5.5-10.11.6-MariaDB\0', 'latin1');
const err = (code: number): Buffer => Buffer.from([9, 0, 0, 0, 0xff, code & 0xff, code >> 8, 0x48, 0x6f, 0x73, 0x74]);

/** A server that speaks first, in pieces. */
function greets(text: Buffer): Duplex {
  const [near, far] = duplexPair();
  far.on('error', () => undefined);
  for (const byte of text) far.write(Buffer.from([byte]));
  return near;
}

const mysql: Forward = { ...orders, appProtocol: 'mysql' };

test('a greeting of MySQL is an answer, an ERR packet and anything else are none', async () => {
  const { signal } = new AbortController();
  await probe(mysql, greets(greeting), signal);
  await assert.rejects(probe(mysql, greets(err(1129)), signal), {
    code: 'DestinationNotSpeaking',
    message: /it refuses with error 1129/,
  });
  await assert.rejects(probe(mysql, greets(Buffer.from('SSH-2.0-OpenSSH')), signal), /the answer is not MySQL/);
});

function watch(forward: Forward, answer: () => Buffer | TunnelError) {
  const clock = new FakeClock();
  let asked = 0;
  let listener = (): void => undefined;
  const tunnel = {
    snapshot: { state: 'Connecting', since: new Date(0), routes: [] } as TunnelSnapshot,
    onChange: (callback: () => void) => {
      listener = callback;
      return () => undefined;
    },
    probe: async () => {
      asked += 1;
      const said = answer();
      if (!Buffer.isBuffer(said)) throw said;
      return { stream: greets(said), signal: new AbortController().signal, via: 'a:22' };
    },
  };
  const health = new Health({
    tunnel,
    forwards: [forward],
    config: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
    optimisticDials: false,
    clock,
    random: () => 0,
    log: silentLog(),
    onChange: () => undefined,
  });
  const become = (state: TunnelSnapshot['state']): void => {
    tunnel.snapshot = { ...tunnel.snapshot, state };
    listener();
  };
  return { clock, health, become, asked: () => asked, reachable: () => health.of(forward.name)?.reachable };
}

test('MySQL is asked once, however often the session to the bastion changes', async () => {
  const w = watch({ ...mysql, health: 'Passive' }, () => greeting);
  for (let times = 0; times < 200; times += 1) {
    w.become('Connected');
    await w.clock.advance(2_000);
    w.become('Failed');
    await w.clock.advance(1_000);
  }
  assert.equal(w.asked(), 1);
  assert.equal(w.reachable(), true);
  w.health.close();
});

test('MySQL that refuses is asked once an interval at most, also when sessions change and clients fail', async () => {
  for (const health of ['Active', 'Passive'] as const) {
    const forward = { ...mysql, health };
    const w = watch(forward, () => err(1129));
    for (let seconds = 0; seconds < 100; seconds += 1) {
      w.become('Connected');
      w.health.recordDial(forward, down('orders.db:3306'));
      await w.clock.advance(500);
      w.become('Failed');
      await w.clock.advance(500);
    }
    assert(w.asked() >= 5 && w.asked() <= 11, `${health}: ${w.asked()} probes in 100 s`);
    assert.equal(w.reachable(), false);
    w.health.close();
  }
});

test('Active: clients that fail ask for one probe a second, so that an outage shows before the next interval', async () => {
  const w = watch(orders, () => down('orders.db:5432'));
  w.become('Connected');
  await w.clock.advance(1_500);
  assert.equal(w.asked(), 1);
  for (let times = 0; times < 50; times += 1) {
    w.health.recordDial(orders, down('orders.db:5432'));
    await w.clock.advance(100);
  }
  assert(w.asked() >= 5 && w.asked() <= 7, `${w.asked()} probes`);
  const before = w.asked();
  w.health.recordDial(orders, noLogin('a:22'));
  w.health.recordDial(orders, undefined);
  await w.clock.advance(3_000);
  assert.equal(w.asked(), before, 'neither a success nor the bastion’s failure asks for one');
  w.health.close();
});
