// Messages of 16 KiB: first used on a session without clients, given up for a node whose relay carries none, and no client notices.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { eventually } from '../../../../../lab/base/eventually.ts';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { MessageSizes } from '../../../../../src/sidecar/drivers/ssm/message-sizes.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { cache, connect, database, dial, pass, route, setting, works } from './driver-world.ts';
import { silentLog } from './silent-log.ts';

const small = 1_024;
const large = 16_384;
const hours = 60 * 60_000;

describe('what is known of a node', () => {
  test('is nothing at first: small until a trial was taken, and one trial at a time', () => {
    const sizes = new MessageSizes(new FakeClock());
    assert.equal(sizes.bytes('i-1'), small);
    assert.equal(sizes.beginTrial('i-1'), true);
    assert.equal(sizes.bytes('i-1'), small, 'not before the answer');
    assert.equal(sizes.beginTrial('i-1'), false);
    sizes.endTrial('i-1', true);
    assert.equal(sizes.bytes('i-1'), large);
    assert.equal(sizes.beginTrial('i-1'), false);
    assert.equal(sizes.bytes('i-2'), small, 'another node has its own');
  });

  test('a trial that says nothing is made again with the next session', () => {
    const sizes = new MessageSizes(new FakeClock());
    sizes.beginTrial('i-1');
    sizes.endTrial('i-1', undefined);
    assert.equal(sizes.beginTrial('i-1'), true);
  });

  test('a refused trial holds for six hours', async () => {
    const clock = new FakeClock();
    const sizes = new MessageSizes(clock);
    sizes.beginTrial('i-1');
    sizes.endTrial('i-1', false);
    await clock.advance(6 * hours - 1);
    assert.equal(sizes.beginTrial('i-1'), false);
    await clock.advance(1);
    assert.equal(sizes.beginTrial('i-1'), true);
  });

  test('a session that died with its clients is never risked again', async () => {
    const clock = new FakeClock();
    const sizes = new MessageSizes(clock);
    sizes.beginTrial('i-1');
    sizes.endTrial('i-1', true);
    sizes.died('i-1');
    assert.equal(sizes.bytes('i-1'), small);
    await clock.advance(100 * hours);
    assert.equal(sizes.beginTrial('i-1'), false);
  });
});

describe('a node', () => {
  for (const version of ['3.0.603.0', '3.1.1374.0', '3.2.985.0', '3.3.4108.0']) {
    test(`with agent ${version} shows before its first client that it takes 16 KiB`, async () => {
      const the = await setting({ destinations: [cache] });
      the.fake.agentVersion = version;
      const session = await the.driver.connect(route, { signal: new AbortController().signal, log: silentLog });
      assert.equal(the.fake.agent.largestInput, large);
      assert.equal(session.facts.messageBytes, large);
      assert.equal(the.fake.count('start'), 1, 'it cost no session');
      await session.close();
    });
  }

  for (const how of ['loses', 'is cut for'] as const) {
    test(`whose relay ${how} larger messages gets small ones, and no client is reset for it`, async () => {
      const clock = new FakeClock();
      const the = await setting({ clock, destinations: [cache] });
      the.fake.largestCarried = 10_000;
      the.fake.cutsLarger = how === 'is cut for';
      let connected = false;
      const connecting = connect(the).finally(() => (connected = true));
      // The second session is started 5 s after the first at the earliest.
      while (!connected) await pass(clock, 2_000);
      const session = await connecting;
      assert.equal(the.fake.count('start'), 2);
      await eventually('the useless session is ended', () => the.fake.count('terminate') === 1);
      assert.equal(session.facts.messageBytes, small);
      const stream = await dial(session, cache);
      stream.on('error', (error) => assert.fail(error));
      stream.write(randomBytes(100_000));
      let received = 0;
      stream.on('data', (chunk: Buffer) => (received += chunk.length));
      while (received < 100_000) await pass(clock, 200);
      assert.equal(the.fake.agent.largestInput, small);
      stream.destroy();
      // Remembered: the next session makes no trial.
      const other = await connect(the);
      assert.equal(the.fake.count('start'), 3);
      assert.equal(other.facts.messageBytes, small);
      await works(other, cache);
    });
  }

  test('that ends the session for a destination that it may not reach has said nothing about the size', async () => {
    const the = await setting({ destinations: [database] });
    the.fake.endsAfterNop = true;
    await assert.rejects(connect(the), TunnelError);
    the.fake.endsAfterNop = false;
    const session = await connect(the);
    assert.equal(session.facts.messageBytes, large);
  });
});
