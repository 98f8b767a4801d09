// A session of fly over hours, on a clock that moves when it is told to: its helper answers as told.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { onAbort } from '../../../../../src/process/abort.ts';
import { sleep } from '../../../../../src/process/clock.ts';
import { silentLog } from '../../../../../src/process/log.ts';
import { FlySession } from '../../../../../src/sidecar/drivers/fly/session.ts';
import { Way } from '../../../../../src/sidecar/drivers/fly/way.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const hourMs = 60 * 60_000;

/** A session whose gateway echoes unless it is told to be silent. */
async function setting() {
  const clock = new FakeClock();
  const log = silentLog();
  const done = { echoes: 0, handshakes: 0, transports: [] as string[], validations: 0, closes: [] as string[] };
  const state = { silent: false, answerMs: 0, isPeerKnown: true, closeMs: 0 };
  const helperLost = new AbortController();
  let heardAt = 0;
  const helper = {
    signal: helperLost.signal,
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
    async closeDevice(device: string) {
      done.closes.push(device);
      if (state.closeMs > 0) await sleep(state.closeMs, { clock });
    },
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
      return state.isPeerKnown;
    },
    clock,
    log,
  });
  return { clock, session, done, state, helperLost };
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

suite('a session that ends by itself closes its device, once', () => {
  const reasonOf = ({ signal }: { readonly signal: AbortSignal }): string =>
    signal.reason instanceof TunnelError ? signal.reason.message : 'none';

  test('after 30 s of silence, and `close` waits for it', async () => {
    const { clock, session, done, state } = await setting();
    const atTheEnd: number[] = [];
    onAbort(session.signal, () => atTheEnd.push(done.closes.length));
    state.silent = true;
    state.closeMs = 1_500;
    await clock.advance(29_000);
    assert.deepEqual(done.closes, []);
    await clock.advance(2_000);
    assert.match(reasonOf(session), /carries nothing/);
    assert.deepEqual(done.closes, ['device']);
    assert.deepEqual(atTheEnd, [0], 'its streams end first, with its own reason');
    state.closeMs = 0;
    let closed = false;
    const closing = session.close().then(() => (closed = true));
    await clock.advance(0);
    assert.equal(closed, false);
    await clock.advance(1_500);
    await closing;
    assert.deepEqual(done.closes, ['device']);
    assert.equal(clock.pending, 0);
  });

  test('when fly.io no longer knows its peer', async () => {
    const { clock, session, done, state } = await setting();
    state.silent = true;
    state.isPeerKnown = false;
    await clock.advance(9_000);
    assert.match(reasonOf(session), /no longer knows/);
    assert.deepEqual(done.closes, ['device']);
    await session.close();
    assert.deepEqual(done.closes, ['device']);
    assert.equal(clock.pending, 0);
  });

  test('when it gives way to a new peer', async () => {
    const { clock, session, done, state } = await setting();
    state.silent = true;
    await clock.advance(13_000);
    session.giveWay();
    assert.match(reasonOf(session), /a new WireGuard peer replaced/);
    assert.deepEqual(done.closes, ['device']);
    await session.close();
    assert.deepEqual(done.closes, ['device']);
  });

  test('but not when the helper is lost, and the device with it', async () => {
    const { clock, session, done, helperLost } = await setting();
    helperLost.abort(new TunnelError('HelperFailed', 'the fly helper ended by SIGKILL'));
    assert.match(reasonOf(session), /it is started again/);
    await session.close();
    assert.deepEqual(done.closes, []);
    assert.equal(clock.pending, 0);
  });
});
