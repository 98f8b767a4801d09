// When another device may follow that of a silent or ended session, and whether it has the same peer.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Code, TunnelError } from '../../../../../src/contract/errors.ts';
import { untilReplaceable } from '../../../../../src/sidecar/drivers/fly/replacing.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

/** An attempt beside a session that is silent, unless it is told otherwise, and closes its device when it is told to. */
function setting() {
  const clock = new FakeClock();
  const ended = new AbortController();
  const cancelled = new AbortController();
  const deviceClosed = Promise.withResolvers<void>();
  const session = {
    signal: ended.signal,
    suspect: true,
    replaceable: false,
    close: async () => await deviceClosed.promise,
  };
  const refused = new Map<string, TunnelError>();
  const outcome: { isBeside?: boolean; at?: number; error?: unknown } = {};
  const begin = (): void => {
    const options = { verdict: () => ({ isTried: true, refused }), clock, signal: cancelled.signal };
    untilReplaceable(session, options).then(
      (isBeside) => Object.assign(outcome, { isBeside, at: clock.now() }),
      (error: unknown) => Object.assign(outcome, { error }),
    );
  };
  const refuse = (code: Code): void => void refused.set('the peer in use', new TunnelError(code, 'no'));
  return { clock, ended, cancelled, deviceClosed, session, refuse, outcome, begin };
}

suite('beside a session that lives', () => {
  for (const code of ['TokenExpired', 'TokenMissing'] as const) {
    test(`${code}: the attempt says it at once, long before a second peer is allowed`, async () => {
      const { clock, refuse, outcome, begin } = setting();
      begin();
      await clock.advance(2_000);
      assert.deepEqual(outcome, {});
      refuse(code);
      await clock.advance(250);
      assert.deepEqual(outcome, { isBeside: true, at: 2_250 });
      assert.equal(clock.pending, 0);
    });
  }

  for (const code of ['TokenRefused', 'AppNotFound'] as const) {
    test(`${code} may hold for one thing alone: the session has its whole time`, async () => {
      const { clock, session, refuse, outcome, begin } = setting();
      refuse(code);
      begin();
      await clock.advance(6_000);
      assert.deepEqual(outcome, {});
      session.replaceable = true;
      await clock.advance(250);
      assert.deepEqual(outcome, { isBeside: true, at: 6_250 });
    });
  }

  test('that carries, a token is tried after one look', async () => {
    const { clock, session, outcome, begin } = setting();
    session.suspect = false;
    begin();
    await clock.advance(250);
    assert.deepEqual(outcome, { isBeside: true, at: 250 });
  });
});

suite('after a session that has ended', () => {
  test('the same peer waits until its device is closed', async () => {
    const { clock, ended, deviceClosed, outcome, begin } = setting();
    ended.abort();
    begin();
    await clock.advance(1_000);
    assert.deepEqual(outcome, {});
    deviceClosed.resolve();
    await clock.advance(0);
    assert.deepEqual(outcome, { isBeside: false, at: 1_000 });
  });

  test('meanwhile, too', async () => {
    const { clock, ended, deviceClosed, session, outcome, begin } = setting();
    begin();
    await clock.advance(1_000);
    ended.abort();
    session.replaceable = true;
    await clock.advance(1_000);
    assert.deepEqual(outcome, {});
    deviceClosed.resolve();
    await clock.advance(0);
    assert.equal(outcome.isBeside, false);
  });

  test('an attempt that is cancelled waits no longer', async () => {
    const { clock, ended, cancelled, outcome, begin } = setting();
    ended.abort();
    begin();
    await clock.advance(0);
    const reason = new Error('nobody waits any more');
    cancelled.abort(reason);
    await clock.advance(0);
    assert.deepEqual(outcome, { error: reason });
  });
});
