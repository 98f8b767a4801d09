import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Span } from '../../../src/process/span.ts';
import { tracedObserver } from '../../../src/sidecar/traced-observer.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function world() {
  const clock = new FakeClock();
  const spans: Span[] = [];
  const counted: string[] = [];
  const counts = {
    sessionOpened: () => void counted.push('opened'),
    sessionLost: () => void counted.push('lost'),
    attemptFailed: () => void counted.push('failed'),
    dialled: () => void counted.push('dialled'),
  };
  const observer = tracedObserver(counts, (span) => void spans.push(span), clock);
  const seconds = (span: Span | undefined): number =>
    ((span?.ended.getTime() ?? 0) - (span?.begun.getTime() ?? 0)) / 1000;
  return { clock, spans, counted, observer, seconds };
}

test('the way to the first session is a span, and so is the way from a loss to the next, with the attempts in between', async () => {
  const { clock, spans, counted, observer, seconds } = world();
  await clock.advance(2_000);
  observer.sessionOpened();
  // The second session of a healthy tunnel.
  observer.sessionOpened();
  await clock.advance(60_000);
  observer.sessionLost('BastionLost');
  await clock.advance(1_000);
  observer.attemptFailed('BastionRefused');
  observer.sessionLost('BastionLost');
  await clock.advance(3_000);
  observer.sessionOpened();
  assert.deepEqual(
    spans.map((span) => [span.name, seconds(span), span.attributes]),
    [
      ['connect', 2, {}],
      ['reconnect', 4, { 'portforward.lost': 'BastionLost' }],
    ],
  );
  assert.deepEqual(
    spans[1]?.events?.map(({ attributes }) => attributes),
    [{ 'portforward.code': 'BastionRefused' }],
  );
  assert.deepEqual(counted, ['opened', 'opened', 'lost', 'failed', 'lost', 'opened']);
});

test('an outage of a day holds no more events than a short one', () => {
  const { spans, observer } = world();
  observer.sessionOpened();
  observer.sessionLost('BastionLost');
  for (let count = 0; count < 10_000; count += 1) observer.attemptFailed('BastionTimeout');
  observer.sessionOpened();
  assert.equal(spans[1]?.events?.length, 32);
});

test('a dial is a span that ends now, with the code of its failure', async () => {
  const { clock, spans, observer, seconds } = world();
  await clock.advance(10_000);
  observer.dialled(1_500, undefined);
  observer.dialled(500, 'DestinationRefused');
  assert.deepEqual(
    spans.map((span) => [span.name, seconds(span), span.failure]),
    [
      ['dial', 1.5, undefined],
      ['dial', 0.5, 'DestinationRefused'],
    ],
  );
});
