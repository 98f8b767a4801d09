// A session of fly over hours, on a clock that moves when it is told to: its helper answers as told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../../../../src/process/log.ts';
import { FlySession } from '../../../../../src/sidecar/drivers/fly/session.ts';
import { Way } from '../../../../../src/sidecar/drivers/fly/way.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const hourMs = 60 * 60_000;

/** A session whose gateway echoes unless it is told to be silent. */
async function setting() {
  const clock = new FakeClock();
  const log = silentLog();
  const done = { echoes: 0, handshakes: 0, transports: [] as string[], validations: 0 };
  const state = { silent: false, answerMs: 0 };
  let heardAt = 0;
  const helper = {
    signal: new AbortController().signal,
    async stats() {
      const figures = { received: 0, sent: 0, streams: 0, transport: 'udp' } as const;
      const now = clock.date().getTime();
      const answer = { ...figures, silentMs: clock.now() - heardAt, handshakeAtMs: now - (now % 120_000) };
      if (state.answerMs > 0) await new Promise<void>((resolve) => clock.after(state.answerMs, resolve));
      return answer;
    },
    async echo() {
      done.echoes += 1;
      if (!state.silent) heardAt = clock.now();
      return 1;
    },
    async handshake() {
      done.handshakes += 1;
    },
    async setTransport(_device: string, transport: string) {
      done.transports.push(transport);
    },
    resolve: async () => [],
    dial: async () => await Promise.reject(new Error('nobody dials')),
    closeDevice: async () => undefined,
  };
  const gateways = { udp: 51_820, webSocket: 443, resolve: async () => '192.0.2.1' };
  const way = new Way({ helper, device: 'device', endpoint: 'gateway.test', allowed: 'Auto', gateways, clock, log });
  await way.begin();
  const session = new FlySession({
    via: 'gateway.test (fra)',
    device: 'device',
    peer: {
      name: 'peer',
      organizationId: '',
      organization: '',
      network: '',
      privateKey: '',
      address: 'fdaa::2',
      endpoint: 'gateway.test',
      gatewayKey: '',
      region: '',
      gatewayRegion: 'fra',
    },
    helper,
    way,
    isPeerValid: async () => {
      done.validations += 1;
      return true;
    },
    clock,
    log,
  });
  return { clock, session, done, state };
}

test('an hour without a client: the session lives, asks for signs of life and keeps its peer known', async () => {
  const { clock, session, done } = await setting();
  let suspected = 0;
  session.onSuspectChange(() => (suspected += 1));
  await clock.advance(hourMs);
  assert.equal(session.signal.aborted, false);
  assert.equal(suspected, 0);
  assert.equal(session.replaceable, false);
  assert.deepEqual(done.transports, ['udp'], 'the transport is left alone');
  assert.equal(done.handshakes, 0, 'WireGuard makes its own');
  assert(done.validations >= 29 && done.validations <= 30, `${done.validations} validations`);
  assert(done.echoes <= hourMs / 3_000, `${done.echoes} echoes`);
  await session.close();
  assert.equal(clock.pending, 0);
});

test('the time of a handshake is its own, however late the helper answers', async () => {
  const { clock, session, state } = await setting();
  await clock.advance(10_000);
  const { handshakeAt } = session.facts;
  assert.equal(handshakeAt, new Date(Date.UTC(2026, 0, 1)).toISOString());
  state.answerMs = 12_000;
  await clock.advance(60_000);
  assert.equal(session.facts.handshakeAt, handshakeAt);
  await clock.advance(120_000);
  assert.equal(session.facts.handshakeAt, new Date(Date.UTC(2026, 0, 1, 0, 2)).toISOString());
  await session.close();
});

test('a silent gateway is TunnelDown from the sixth second on, and answers again without a trace', async () => {
  const { clock, session, done, state } = await setting();
  state.silent = true;
  await clock.advance(5_000);
  assert.equal(session.suspect, false);
  await clock.advance(3_000);
  assert.equal(session.suspect, true);
  assert.equal(session.suspectBecause.code, 'TunnelDown');
  assert.match(session.suspectBecause.message, /gateway\.test \(fra\) is silent .* UDP 51820/);
  assert.equal(done.handshakes, 1);
  state.silent = false;
  await clock.advance(4_000);
  assert.equal(session.suspect, false);
  await session.close();
  assert.equal(clock.pending, 0);
});
