// Whatever happens in whatever order: no stream is dropped unless its session was lost, nothing piles up, and once everything works again
// clients are carried in time.
import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { assertEvery } from '../../../support/assert-every.ts';
import { settle } from '../../../support/fake-clock.ts';
import {
  type Answer,
  down,
  type MemorySession,
  noLogin,
  orders,
  refused,
  throttled,
  type World,
  world,
} from './memory-driver.ts';

const vias = ['a:22', 'b:22', 'c:22'];
const never = new AbortController().signal;

type Event =
  | {
      readonly kind: 'bastion';
      readonly via: string;
      readonly becomes: 'accepts' | 'silent' | 'slow' | 'refused' | 'noLogin' | 'throttled';
    }
  | { readonly kind: 'destination'; readonly becomes: 'accepts' | 'silent' | 'down' | 'slow' }
  | { readonly kind: 'lose' | 'suspect' | 'recover' | 'close'; readonly which: number }
  | { readonly kind: 'credentials' | 'dial' }
  | { readonly kind: 'wait'; readonly ms: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    kind: fc.constant('bastion' as const),
    via: fc.constantFrom(...vias),
    becomes: fc.constantFrom('accepts', 'accepts', 'silent', 'slow', 'refused', 'noLogin', 'throttled'),
  }),
  fc.record({
    kind: fc.constant('destination' as const),
    becomes: fc.constantFrom('accepts', 'accepts', 'silent', 'down', 'slow'),
  }),
  fc.record({ kind: fc.constantFrom('lose', 'suspect', 'recover', 'close'), which: fc.nat(9) }),
  fc.record({ kind: fc.constantFrom('credentials', 'dial', 'dial', 'dial') }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 90, 260, 1_000, 4_900, 11_000, 61_000) }),
);

const bastionAnswers: Readonly<Record<string, (via: string) => Answer>> = {
  accepts: () => 'accepts',
  silent: () => 'silent',
  slow: () => ({ afterMs: 700, answersAtOnce: true }),
  refused,
  noLogin,
  throttled,
};
const destinationAnswers: Readonly<Record<string, Answer>> = {
  accepts: 'accepts',
  silent: 'silent',
  slow: { afterMs: 400 },
  down: down('orders.db:5432'),
};

interface Client {
  readonly stream: Duplex;
  readonly session: AbortSignal;
}

async function play(w: World, events: readonly Event[], clients: Client[], dials: Promise<void>[]): Promise<void> {
  for (const one of events) {
    const pick = (which: number): MemorySession | undefined => w.driver.open[which % Math.max(1, w.driver.open.length)];
    if (one.kind === 'bastion') w.driver.answers.set(one.via, bastionAnswers[one.becomes]?.(one.via) ?? 'accepts');
    if (one.kind === 'destination')
      w.driver.destinations.set('orders.db:5432', destinationAnswers[one.becomes] ?? 'accepts');
    if (one.kind === 'lose') pick(one.which)?.lose();
    if (one.kind === 'suspect' || one.kind === 'recover') {
      const session = pick(one.which);
      if (session !== undefined) session.suspect = one.kind === 'suspect';
    }
    if (one.kind === 'close') clients[one.which % Math.max(1, clients.length)]?.stream.destroy();
    if (one.kind === 'credentials') w.driver.changeCredentials();
    if (one.kind === 'dial') {
      const dial = w.tunnel.dial(orders, never).then(
        ({ stream, signal }) => void clients.push({ stream, session: signal }),
        (error: unknown) => assert(error instanceof TunnelError, String(error)),
      );
      dials.push(dial);
    }
    await w.clock.advance(one.kind === 'wait' ? one.ms : 0);
    for (const { stream, session } of clients) {
      // Only its session's end, or the drain of the oldest of too many, may take a stream that its client did not close.
      if (stream.errored !== null) assert(session.aborted, 'a stream was dropped although its session lives');
    }
    const retired = w.tunnel.sessions.filter((entry) => entry.role === 'retired');
    assertEvery(retired, (entry) => entry.carried > 0, 'a replaced session that carries nothing is still open');
    assert(w.driver.attempts.filter((attempt) => !attempt.ended).length <= 3 * vias.length);
  }
}

test('whatever happened, clients are carried within 2 s once everything works again, and closing leaves nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 40 }),
      fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), { minLength: 5, maxLength: 5 }),
      async (events, dice) => {
        let die = 0;
        const clients: Client[] = [];
        const dials: Promise<void>[] = [];
        {
          await using w = await world(vias, { random: () => dice[die++ % dice.length] ?? 0 });
          w.tunnel.start();
          await play(w, events, clients, dials);
          w.driver.answers.clear();
          w.driver.destinations.clear();
          for (const session of w.driver.open) session.suspect = false;
          // What needed a person has been fixed by one, and that is noticed at once.
          w.driver.changeCredentials();
          await w.clock.advance(2_000);
          assert.equal(w.tunnel.snapshot.state, 'Connected');
          await w.tunnel.dial(orders, never);
          await w.clock.advance(300_000);
          assert.equal(w.tunnel.snapshot.via, 'a:22', 'the most preferred bastion is used again');
          assert(
            w.tunnel.sessions
              .filter((entry) => entry.role === 'live')
              .every((entry) => entry.credentialsGeneration === w.driver.credentials),
          );
          for (const { stream } of clients) stream.destroy();
          await settle();
        }
        await Promise.all(dials);
      },
    ),
    { numRuns: 150 },
  );
});
