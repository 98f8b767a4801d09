// Recovery with a driver without a network (docs/promises.md, promise 4): when attempts are made, how fast clients are carried again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertEvery } from '../../../support/assert-every.ts';
import { settle } from '../../../support/fake-clock.ts';
import { lost, noLogin, orders, refused, throttled, world } from './memory-driver.ts';

const never = new AbortController().signal;
const gaps = (times: readonly number[]): number[] => times.slice(1).map((time, index) => time - (times[index] ?? 0));

test('two sessions are opened to the first bastion and streams are spread over them', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assert.equal(w.tunnel.snapshot.via, 'a:22');
  assert.deepEqual(
    w.driver.open.map((session) => session.via),
    ['a:22', 'a:22'],
  );
  for (let i = 0; i < 6; i++) await w.tunnel.dial(orders, never);
  assert.deepEqual(
    w.driver.open.map((session) => session.streams),
    [3, 3],
  );
});

test('a refused bastion is tried every 0.1 to 1.5 s for five minutes and then at most 15 s apart', async () => {
  await using w = await world(['a:22'], { random: Math.random });
  w.driver.answers.set('a:22', refused('a:22'));
  w.tunnel.start();
  await w.clock.advance(290_000);
  const dense = gaps(w.driver.attemptsTo('a:22'));
  assert(dense.length > 190, `only ${dense.length} attempts in five minutes`);
  assertEvery(dense, (gap) => gap >= 100 && gap <= 1_501, 'gaps of 0.1 to 1.5 s');
  await w.clock.advance(20_000);
  const before = w.driver.attempts.length;
  await w.clock.advance(600_000);
  const sparse = gaps(w.driver.attemptsTo('a:22').slice(before));
  assertEvery(sparse, (gap) => gap <= 15_000, 'no gap over 15 s');
  assert(sparse.length < 150, `${sparse.length} attempts in ten minutes`);
  assert.equal(w.tunnel.snapshot.state, 'Failed');
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionRefused');
});

test('an attempt that nobody answers is joined by another every second, and never more than three are under way', async () => {
  await using w = await world(['a:22']);
  w.driver.answers.set('a:22', 'silent');
  w.tunnel.start();
  for (let second = 0; second < 60; second++) {
    await w.clock.advance(1_000);
    assert(w.driver.attempts.filter((attempt) => !attempt.ended).length <= 3);
  }
  const since = gaps(w.driver.attemptsTo('a:22'));
  assertEvery(since, (gap) => gap <= 1_500, 'no gap over 1.5 s without a fresh attempt');
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionTimeout');
});

test('after a black hole of any length up to five minutes a client is carried within 1.5 s of the return', async () => {
  for (const outage of [700, 3_300, 9_900, 10_400, 12_600, 60_050, 240_000]) {
    await using w = await world(['a:22'], { random: Math.random });
    w.driver.answers.set('a:22', 'silent');
    w.tunnel.start();
    await w.clock.advance(outage);
    w.driver.answers.set('a:22', 'accepts');
    await w.clock.advance(1_500);
    assert.equal(w.tunnel.snapshot.state, 'Connected', `after ${outage} ms`);
  }
});

test('an attempt that the bastion answers slowly is not joined and not cut short', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.driver.answers.set('a:22', { afterMs: 8_000, answersAtOnce: true });
  w.tunnel.start();
  await w.clock.advance(8_100);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assert.equal(w.driver.attempts.length, 1);
});

test('an attempt of several steps has the time of all of them', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1, attemptTimeoutMs: 30_000 });
  w.driver.answers.set('a:22', { afterMs: 28_000, answersAtOnce: true });
  w.tunnel.start();
  await w.clock.advance(28_100);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assert.equal(w.driver.attempts.length, 1);
});

test('a bastion that closes before its banner is left alone for at least 5 s', async () => {
  await using w = await world(['a:22'], { random: Math.random });
  w.driver.answers.set('a:22', throttled('a:22'));
  w.tunnel.start();
  await w.clock.advance(120_000);
  assertEvery(gaps(w.driver.attemptsTo('a:22')), (gap) => gap >= 5_000 && gap <= 15_000, 'gaps of 5 to 15 s');
});

test('refused credentials are tried every minute, and at once when the files change', async () => {
  await using w = await world(['a:22'], { random: Math.random });
  w.driver.answers.set('a:22', noLogin('a:22'));
  w.tunnel.start();
  await w.clock.advance(300_000);
  assertEvery(gaps(w.driver.attemptsTo('a:22')), (gap) => gap >= 50_000 && gap <= 60_000, 'gaps of 50 to 60 s');
  assert.equal(w.tunnel.snapshot.error?.code, 'AuthenticationFailed');
  w.driver.answers.set('a:22', 'accepts');
  w.driver.changeCredentials();
  await w.clock.advance(100);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('a silent first bastion delays the second by 250 ms, a refusing one not at all', async () => {
  {
    await using w = await world(['a:22', 'b:22']);
    w.driver.answers.set('a:22', 'silent');
    w.tunnel.start();
    await w.clock.advance(260);
    assert.equal(w.tunnel.snapshot.via, 'b:22');
    assert.equal(w.driver.attemptsTo('b:22')[0], 250);
  }
  {
    await using w = await world(['a:22', 'b:22']);
    w.driver.answers.set('a:22', refused('a:22'));
    w.tunnel.start();
    await w.clock.advance(1);
    assert.equal(w.tunnel.snapshot.via, 'b:22');
  }
});

test('when the bastion in use is lost the other one carries clients at once', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  w.driver.lose('a:22', 'silent');
  await w.clock.advance(1);
  assert.equal(w.tunnel.snapshot.via, 'b:22');
  assert.deepEqual(
    w.driver.open.map((session) => session.via),
    ['b:22', 'b:22'],
  );
});

test('a better bastion is returned to after 60 s of unbroken health, by new connections only', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  w.driver.lose('a:22');
  await w.clock.advance(100);
  const { stream } = await w.tunnel.dial(orders, never);
  w.driver.answers.set('a:22', 'accepts');
  await w.clock.advance(59_000);
  assert.equal(w.driver.open.filter((session) => session.via === 'a:22').length, 0, 'it goes last for 60 s');
  await w.clock.advance(2_000);
  assert.equal(w.driver.open.filter((session) => session.via === 'a:22').length, 1, 'then it is tried');
  await w.clock.advance(58_000);
  assert.equal(w.tunnel.snapshot.via, 'b:22', 'but not trusted yet');
  await w.clock.advance(3_000);
  assert.equal(w.tunnel.snapshot.via, 'a:22');
  assert.equal(stream.destroyed, false, 'the old connection lives on');
  assert.equal(w.driver.open.filter((session) => session.via === 'b:22').length, 1);
  stream.destroy();
  await settle();
  assert.equal(w.driver.open.filter((session) => session.via === 'b:22').length, 0, 'its session ends with it');
});

test('a better bastion that breaks during its minute of health starts it anew', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(45_000);
  w.driver.lose('a:22');
  w.driver.answers.set('a:22', 'accepts');
  await w.clock.advance(90_000);
  const trial = w.driver.open.find((session) => session.via === 'a:22');
  assert(trial !== undefined);
  trial.lose();
  await w.clock.advance(60_000);
  assert.equal(w.tunnel.snapshot.via, 'b:22');
  await w.clock.advance(125_000);
  assert.equal(w.tunnel.snapshot.via, 'a:22');
});

test('a bastion that admits one session only is used with one, and not hammered for a second', async () => {
  await using w = await world(['a:22']);
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.open[1]?.lose();
  w.driver.answers.set('a:22', refused('a:22'));
  await w.clock.advance(600_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  assert(w.driver.attempts.length < 40, `${w.driver.attempts.length} attempts in ten minutes`);
});

test('a bastion that drops each session soon after the login is not hammered forever', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1, random: Math.random });
  w.tunnel.start();
  for (let i = 0; i < 4_000; i++) {
    await w.clock.advance(100);
    for (const session of w.driver.open) session.lose();
  }
  const before = w.driver.attempts.length;
  for (let i = 0; i < 600; i++) {
    await w.clock.advance(100);
    for (const session of w.driver.open) session.lose();
  }
  assert(
    w.driver.attempts.length - before <= 40,
    `${w.driver.attempts.length - before} attempts in a minute after five minutes of it`,
  );
});

test('retries never stop: after an hour without a bastion a return is noticed within 15 s', async () => {
  await using w = await world(['a:22'], { random: Math.random });
  w.driver.answers.set('a:22', 'silent');
  w.tunnel.start();
  await w.clock.advance(3_600_000);
  w.driver.answers.set('a:22', 'accepts');
  await w.clock.advance(15_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('an error of a driver that is no TunnelError does not stop the retries', async () => {
  await using w = await world(['a:22']);
  const connect = w.driver.connect.bind(w.driver);
  let bug = true;
  w.driver.connect = async (...given) => {
    if (bug) throw new TypeError('undefined is not a function');
    return await connect(...given);
  };
  w.tunnel.start();
  await w.clock.advance(1_000);
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionLost');
  bug = false;
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('losses are counted by code', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.tunnel.start();
  await w.clock.advance(0);
  w.driver.open[0]?.lose(lost('a:22'));
  await w.clock.advance(1_000);
  assert.deepEqual(w.counted, ['opened', 'lost BastionLost', 'opened']);
});

test('a session that is no longer needed when it opens is closed, and the next attempt has a pause', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1 });
  w.tunnel.start();
  w.driver.room = 1;
  await w.clock.advance(0);
  const { stream } = await w.tunnel.dial(orders, never);
  w.driver.answers.set('a:22', { afterMs: 500 });
  const second = w.tunnel.dial(orders, never);
  await w.clock.advance(100);
  // There is room again, and no event says so.
  w.driver.room = 2;
  await w.clock.advance(400);
  assert.equal(w.driver.open.length, 1, 'the second session is closed at once');
  await second;
  const third = w.tunnel.dial(orders, never);
  await w.clock.advance(2_000);
  await third;
  assert.deepEqual(w.driver.attemptsTo('a:22'), [0, 0, 1_500]);
  stream.destroy();
});

test('a bastion whose sessions have ended before they can be used is tried as one that fails', async () => {
  await using w = await world(['a:22'], { sessionsWanted: 1, random: Math.random });
  const connect = w.driver.connect.bind(w.driver);
  w.driver.connect = async (...given) => {
    const session = await connect(...given);
    for (const open of w.driver.open) open.lose();
    return session;
  };
  w.tunnel.start();
  await w.clock.advance(60_000);
  assertEvery(gaps(w.driver.attemptsTo('a:22')), (gap) => gap >= 100 && gap <= 1_501, 'gaps of 0.1 to 1.5 s');
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionLost');
  assertEvery(w.counted, (event) => event === 'failed BastionLost', 'only failures by loss');
});
