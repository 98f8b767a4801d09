import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { ByteBudget } from '../../../../../../src/sidecar/base/byte-budget.ts';
import { encodeMessage, messageType } from '../../../../../../src/sidecar/drivers/ssm/channel/message.ts';
import { MessageLink } from '../../../../../../src/sidecar/drivers/ssm/channel/message-link.ts';
import { FakeClock } from '../../../../../support/fake-clock.ts';
import { silentLog } from '../silent-log.ts';

const payload = Buffer.alloc(1_024, 'x');
/** More than are kept behind a gap. */
const many = 8 * 1024 + 1;

/** A link without a socket that has received nothing, and what it reports. */
function receiving(clock: FakeClock) {
  const seen = { delivered: 0, hopeless: 0, changes: 0 };
  const link = new MessageLink(
    { clock, log: silentLog, budget: new ByteBudget() },
    {
      deliver: () => {
        seen.delivered += 1;
      },
      heard: () => undefined,
      acknowledged: () => undefined,
      behindChanged: () => {
        seen.changes += 1;
      },
      hopeless: () => {
        seen.hopeless += 1;
      },
      channelClosed: () => undefined,
    },
  );
  const take = (sequenceNumber: number): void =>
    link.receive(
      encodeMessage({
        messageType: messageType.output,
        sequenceNumber,
        flags: 0,
        createdDate: 1,
        messageId: randomUUID(),
        payloadType: 1,
        payload,
      }),
    );
  return { link, seen, take };
}

test('a gap that is filled late is waited for, however long it takes', async () => {
  const clock = new FakeClock();
  const { link, seen, take } = receiving(clock);
  take(1);
  await clock.advance(2_900);
  take(2);
  assert.equal(link.behind, false);
  await clock.advance(100);
  take(3);
  assert.equal(link.behind, true);
  await clock.advance(600_000);
  take(4);
  assert.deepEqual(seen, { delivered: 0, hopeless: 0, changes: 1 });
  take(0);
  assert.deepEqual(seen, { delivered: 5, hopeless: 0, changes: 2 });
  assert.equal(link.behind, false);
});

test('a gap behind which there was no room for more is hopeless after 75 s, and not if it is filled before', async () => {
  const clock = new FakeClock();
  const { seen, take } = receiving(clock);
  for (let sequence = 1; sequence <= many; sequence += 1) take(sequence);
  await clock.advance(74_900);
  take(1);
  assert.equal(seen.hopeless, 0);
  take(0);
  assert.equal(seen.delivered, many);
  // The last one had no room. From here on there is a gap again, with room enough.
  take(many + 1);
  await clock.advance(74_900);
  take(many + 2);
  assert.equal(seen.hopeless, 0);
  for (let sequence = 3; sequence <= many; sequence += 1) take(many + sequence);
  await clock.advance(100);
  take(many + 1);
  assert.equal(seen.hopeless, 1);
});
