// Bastions that are not in use: they are logged in to now and then, so that lost redundancy is known before it hurts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { noLogin, orders, refused, type World, world } from './memory-driver.ts';

const never = new AbortController().signal;
const minutes = 60_000;
const checked = { checksStandbys: true };

const states = ({ tunnel }: World): string[] =>
  tunnel.snapshot.routes.map(
    ({ via, state, error }) => `${via} ${state}${error === undefined ? '' : ` ${error.code}`}`,
  );

test('a standby is untried, then logged in to within 15 s, and its session is closed again', async () => {
  await using w = await world(['a:22', 'b:22'], checked);
  w.tunnel.start();
  await w.clock.advance(100);
  assert.deepEqual(states(w), ['a:22 InUse', 'b:22 Untried']);
  const since = w.clock.date();
  await w.clock.advance(15_000);
  assert.deepEqual(states(w), ['a:22 InUse', 'b:22 StandingBy']);
  assert(w.tunnel.snapshot.routes.every((route) => route.state === 'InUse' || route.since > since));
  assert.equal(w.driver.attemptsTo('b:22').length, 1);
  assert.equal(w.driver.open.filter(({ via }) => via === 'b:22').length, 0);
  assert.equal(w.tunnel.snapshot.via, 'a:22');
});

test('each standby is logged in to once every 10 minutes, however often a client comes', async () => {
  await using w = await world(['a:22', 'b:22', 'c:22'], checked);
  w.tunnel.start();
  for (let minute = 0; minute < 60; minute += 1) {
    await w.clock.advance(1 * minutes);
    const { stream } = await w.tunnel.dial(orders, never);
    stream.destroy();
  }
  for (const via of ['b:22', 'c:22']) {
    const count = w.driver.attemptsTo(via).length;
    assert(count >= 6 && count <= 7, `${count} logins to ${via} in an hour`);
  }
});

test('a standby that would not help is reported with its reason while another carries, and so is its return', async () => {
  await using w = await world(['a:22', 'b:22'], checked);
  w.tunnel.start();
  w.driver.answers.set('b:22', new TunnelError('HostKeyChanged', 'b:22 shows another key'));
  await w.clock.advance(15_000);
  assert.deepEqual(states(w), ['a:22 InUse', 'b:22 Failed HostKeyChanged']);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
  w.driver.answers.set('b:22', 'accepts');
  await w.clock.advance(12 * minutes);
  assert.deepEqual(states(w), ['a:22 InUse', 'b:22 StandingBy']);
});

test('where the far side can be asked about a standby no session is opened for that', async () => {
  await using w = await world(['i-a', 'i-b'], checked);
  const asked: string[] = [];
  let answer: TunnelError | undefined;
  w.driver.checkStandby = async ({ via }) => {
    asked.push(via);
    if (answer !== undefined) throw answer;
  };
  w.tunnel.start();
  await w.clock.advance(15_000);
  assert.deepEqual(states(w), ['i-a InUse', 'i-b StandingBy']);
  answer = new TunnelError('TargetNotConnected', 'i-b is not connected');
  await w.clock.advance(12 * minutes);
  assert.deepEqual(states(w), ['i-a InUse', 'i-b Failed TargetNotConnected']);
  assert.deepEqual(asked, ['i-b', 'i-b']);
  assert.deepEqual(w.driver.attemptsTo('i-b'), []);
  // Whatever the answers were: it is opened when it is needed.
  w.driver.lose('i-a');
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.via, 'i-b');
});

test('a change of the files tries every route once, at once', async () => {
  await using w = await world(['a:22', 'b:22', 'c:22'], checked);
  w.tunnel.start();
  await w.clock.advance(1 * minutes);
  const before = w.driver.attempts.length;
  w.driver.answers.set('c:22', noLogin('c:22'));
  w.driver.changeCredentials();
  await w.clock.advance(1_000);
  const after = w.driver.attempts.slice(before).map(({ via }) => via);
  assert.deepEqual([...new Set(after)].toSorted(), ['a:22', 'b:22', 'c:22']);
  assert.equal(after.filter((via) => via === 'c:22').length, 1);
  assert.deepEqual(states(w), ['a:22 InUse', 'b:22 StandingBy', 'c:22 Failed AuthenticationFailed']);
});

test('while the bastion in use refuses what the Secret holds now it is asked again every minute, and drops nothing', async () => {
  await using w = await world(['a:22'], checked);
  w.tunnel.start();
  await w.clock.advance(1 * minutes);
  const { stream } = await w.tunnel.dial(orders, never);
  w.driver.verdict = { isTried: true, refused: new Map([['a:22', noLogin('a:22')]]) };
  w.driver.changeCredentials();
  await w.clock.advance(1 * minutes);
  const before = w.driver.attemptsTo('a:22').length;
  await w.clock.advance(10 * minutes);
  const count = w.driver.attemptsTo('a:22').length - before;
  assert(count >= 9 && count <= 11, `${count} attempts in 10 minutes`);
  assert.equal(stream.destroyed, false);
  assert.equal(w.tunnel.snapshot.credentials?.refused.get('a:22')?.code, 'AuthenticationFailed');
  w.driver.verdict = { isTried: true, refused: new Map() };
  await w.clock.advance(2 * minutes);
  const rest = w.driver.attemptsTo('a:22').length;
  await w.clock.advance(30 * minutes);
  assert.equal(w.driver.attemptsTo('a:22').length, rest);
});

test('a failed standby is used as soon as it is needed and works', async () => {
  await using w = await world(['a:22', 'b:22'], checked);
  w.tunnel.start();
  w.driver.answers.set('b:22', refused('b:22'));
  await w.clock.advance(15_000);
  w.driver.answers.set('b:22', 'accepts');
  w.driver.lose('a:22');
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.via, 'b:22');
});

test('an idle tunnel on demand logs in nowhere', async () => {
  await using w = await world(['a:22', 'b:22'], { ...checked, mode: 'OnDemand' });
  w.tunnel.start();
  await w.clock.advance(60 * minutes);
  assert.deepEqual(w.driver.attempts, []);
});

test('standbys are left alone where a login is no check', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.tunnel.start();
  await w.clock.advance(60 * minutes);
  assert.deepEqual(w.driver.attemptsTo('b:22'), []);
  assert.deepEqual(states(w), ['a:22 InUse', 'b:22 Untried']);
});
