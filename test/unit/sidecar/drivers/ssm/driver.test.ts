import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../../../lab/base/eventually.ts';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { abortable } from '../../../../../src/process/abort.ts';
import type { SsmApi } from '../../../../../src/sidecar/drivers/ssm/aws/api.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { cache, connect, database, dial, endings, opened, pass, route, setting, works } from './driver-world.ts';
import { silentLog } from './silent-log.ts';

test('a channel is opened for each destination, for the node’s own ports with the document for them', async () => {
  const the = await setting({ destinations: [database, cache, database] });
  const session = await connect(the);
  assert.deepEqual(
    the.fake.starts.map(({ target, host, port, reason }) => [target, host, port, reason]),
    [
      ['i-0abc', 'db.internal', 5432, 'portforward/shop/orders-db/uid'],
      ['i-0abc', undefined, 6379, 'portforward/shop/orders-db/uid'],
    ],
  );
  await works(session, database);
  await works(session, cache);
  assert.deepEqual(session.facts, { sessionId: 'operator-0', messageBytes: 16_384 });
  assert.equal(session.streams, 0);
  await session.close();
  await eventually('the service sees its sockets closed', () => the.fake.sockets === 0);
  assert.deepEqual(
    the.fake.agents.map(({ flags }) => flags),
    [[2], [2]],
  );
});

test('an attempt that is aborted while it waits for the service leaves nothing behind', async () => {
  const the = await setting();
  the.fake.resumeError = new TunnelError('Throttled', 'slow down');
  const stop = new AbortController();
  const attempt = the.driver.connect(route, { signal: stop.signal, log: silentLog });
  while (the.fake.count('resume') === 0) await delay(5);
  stop.abort(new Error('not wanted'));
  await assert.rejects(attempt, /not wanted/);
  assert.equal(the.fake.count('terminate'), 1);
  while (the.fake.sockets > 0) await delay(5);
});

test('a session that AWS had begun when the attempt was given up is ended', async () => {
  const the = await setting();
  const api: SsmApi = the.fake;
  const begin = the.fake.startSession.bind(the.fake);
  const answer = Promise.withResolvers<void>();
  // Like AWS's library: an aborted call rejects at once, whatever the service has done by then.
  api.startSession = async (request, signal) => {
    const ticket = await begin(request);
    await abortable(answer.promise, { signal });
    return ticket;
  };
  const stop = new AbortController();
  const attempt = the.driver.connect(route, { signal: stop.signal, log: silentLog });
  while (the.fake.count('start') === 0) await delay(1);
  stop.abort(new Error('not wanted'));
  answer.resolve();
  await assert.rejects(attempt, /not wanted/);
  assert.deepEqual(the.fake.terminated, ['operator-0']);
});

test('an attempt that is given up waits 3 s for the answer to its start, no longer', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock });
  const api: SsmApi = the.fake;
  api.startSession = async (_request, signal) => {
    the.fake.calls.push('start');
    return await abortable(new Promise<never>(() => undefined), { signal });
  };
  const stop = new AbortController();
  const attempt = the.driver.connect(route, { signal: stop.signal, log: silentLog });
  const settled = attempt.then(
    () => 'connected',
    () => 'given up',
  );
  while (the.fake.count('start') === 0) await delay(1);
  stop.abort(new Error('not wanted'));
  await clock.advance(2_900);
  assert.equal(await Promise.race([settled, Promise.resolve('waiting')]), 'waiting');
  await clock.advance(200);
  assert.equal(await settled, 'given up');
});

test('a destination that cannot be opened leaves the others alone, its own clients get the reason, and it is tried again', async () => {
  const clock = new FakeClock();
  const the = await setting({ destinations: [cache, database], clock });
  the.fake.agentVersion = '3.1.1200.0';
  const session = await opened(the);
  endings.push(() => session.close());
  await works(session, cache);
  await assert.rejects(
    dial(session, database),
    (error) => error instanceof TunnelError && error.code === 'DestinationUnreachable' && /agent/.test(error.message),
  );
  assert.equal(the.fake.count('start'), 2);
  the.fake.agentVersion = '3.3.4108.0';
  await clock.advance(4_900);
  assert.equal(the.fake.count('start'), 2, 'not before 5 s');
  await clock.advance(60_000);
  await eventually('the session to the database', () =>
    dial(session, database).then(
      () => true,
      () => false,
    ),
  );
});

test('if no destination can be opened, no session is left behind', async () => {
  const the = await setting({ destinations: [database, { host: 'other.internal', port: 5432 }] });
  the.fake.agentVersion = '3.1.1200.0';
  await assert.rejects(connect(the), (error) => error instanceof TunnelError && error.code === 'AgentTooOld');
  while (the.fake.sockets > 0) await delay(5);
  assert.equal(the.fake.count('start'), 2);
});

test('the loss of the only channel ends the session, with its reason, before its streams end', async () => {
  const the = await setting();
  const session = await connect(the);
  const stream = await dial(session, database);
  let first: boolean | undefined;
  stream.on('error', () => {
    first = session.signal.aborted;
  });
  the.fake.agent.closeChannel('');
  await once(stream, 'error');
  assert.equal(first, true);
  assert.equal((session.signal.reason as TunnelError).code, 'BastionLost');
  await assert.rejects(dial(session, database), /Session Manager ended the session/);
});

test('one lost channel of two is replaced while the other goes on, and clients wait for it', async () => {
  const the = await setting({ destinations: [database, cache] });
  const session = await connect(the);
  const open = await dial(session, cache);
  open.on('error', () => assert.fail('the other destination lost its stream'));
  the.fake.agents[0]?.closeChannel('');
  while (the.fake.count('start') < 3) await delay(5);
  await works(session, database);
  assert.equal(session.signal.aborted, false);
  assert.equal(session.suspect, false);
  open.write('still');
  assert.equal(String((await once(open, 'data'))[0]), 'still');
  open.destroy();
});

test('a silent agent makes the session suspect, and its listeners are called', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock });
  const session = await connect(the);
  const changes: boolean[] = [];
  const unsubscribe = session.onSuspectChange(() => changes.push(session.suspect));
  the.fake.silent = true;
  await clock.advance(9_000);
  assert.deepEqual(changes, [true]);
  assert.equal(session.hasRoom, false);
  the.fake.silent = false;
  for (let step = 0; session.suspect && step < 100; step += 1) {
    await clock.advance(100);
    await delay(2);
  }
  assert.deepEqual(changes, [true, false]);
  unsubscribe();
});

test('a client that does not read takes the session’s room and does not make the node suspect', async () => {
  const the = await setting();
  const session = await connect(the);
  const [slow, quick, leaving] = await Promise.all([1, 2, 3].map(() => dial(session, database)));
  quick?.resume();
  slow?.pause();
  slow?.write(Buffer.alloc(3 * 1024 * 1024));
  await eventually('the session reads nothing more', () => !session.hasRoom);
  leaving?.destroy();
  assert.equal(session.suspect, false);
  slow?.resume();
  await eventually('there is room again', () => session.hasRoom);
  assert.equal(session.suspect, false);
});

test('a silent channel beside working ones takes no new stream, even while it cannot be replaced', async () => {
  const clock = new FakeClock();
  const the = await setting({ clock, destinations: [database, cache] });
  const session = await connect(the);
  the.fake.startError = new TunnelError('Throttled', 'slow down');
  const [first] = the.fake.agents;
  assert.ok(first !== undefined);
  first.silent = true;
  await pass(clock, 10_000);
  const silent = the.fake.starts[0]?.port === 5432 ? database : cache;
  await assert.rejects(dial(session, silent), { code: 'NotConnected' });
  await works(session, silent === database ? cache : database);
  assert.equal(session.suspect, false);
  first.silent = false;
});

test('after two refusals a fresh channel resolves the name again and takes the next connections', async () => {
  const the = await setting();
  const session = await connect(the);
  const kept = await dial(session, database);
  kept.write('x');
  await once(kept, 'data');
  the.fake.refuses = true;
  for (let round = 0; round < 2; round += 1) {
    const stream = await dial(session, database);
    const [error] = (await once(stream, 'error')) as [TunnelError];
    assert.equal(error.code, 'DestinationUnreachable');
    assert.match(error.message, /could not connect to \S+:\d+:/);
  }
  while (the.fake.count('start') < 2) await delay(5);
  the.fake.refuses = false;
  while (session.facts.sessionId !== 'operator-1') await delay(5);
  await works(session, database);
  kept.write('y');
  assert.equal(String((await once(kept, 'data'))[0]), 'y');
  assert.equal(the.fake.agents[0]?.flags.length, 0);
  kept.destroy();
  while (the.fake.agents[0]?.flags.length === 0) await delay(5);
});

test('a channel to another host is replaced within 15 minutes, without harm to its streams, and one with a limit before that', async () => {
  for (const { maxSessionMinutes, due } of [
    { sessions: 1, maxSessionMinutes: 0, due: 12 * 60_000 },
    { maxSessionMinutes: 5, due: 4 * 60_000 },
  ]) {
    const clock = new FakeClock();
    const the = await setting({ clock, config: { maxSessionMinutes } });
    const session = await connect(the);
    const kept = await dial(session, database);
    kept.write('x');
    await once(kept, 'data');
    // In steps so small that the agent's answers, which take real time, keep up.
    for (let passed = 0; passed < due - 6_000; passed += 2_000) {
      await clock.advance(2_000);
      await delay(1);
    }
    assert.equal(session.suspect, false);
    assert.equal(the.fake.count('start'), 1);
    for (let step = 0; the.fake.count('start') < 2 && step < 100; step += 1) await clock.advance(100);
    assert.equal(the.fake.count('start'), 2);
    while (session.facts.sessionId !== 'operator-1') {
      await clock.advance(10);
      await delay(1);
    }
    kept.write('y');
    assert.equal(String((await once(kept, 'data'))[0]), 'y');
    kept.destroy();
  }
});

test('nodes are found by tags, only connected ones, in the pod’s own order', async () => {
  const orders = new Set<string>();
  for (const podUid of ['a', 'b', 'c', 'd', 'e']) {
    const the = await setting({ podUid, config: { target: { tags: { Role: 'bastion' } } } });
    the.fake.nodes.set('i-1', true).set('i-2', false).set('i-3', true);
    const routes = await the.driver.routes({ signal: new AbortController().signal });
    assert.deepEqual(routes.map(({ via }) => via).toSorted(), ['i-1', 'i-3']);
    orders.add(routes.map(({ via }) => via).join());
  }
  assert.equal(orders.size, 2);
  const none = await setting({ config: { target: { tags: { Role: 'bastion' } } } });
  await assert.rejects(
    none.driver.routes({ signal: new AbortController().signal }),
    /no managed node in eu-west-1 carries the tags Role=bastion/,
  );
});
