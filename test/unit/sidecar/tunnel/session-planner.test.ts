// Which sessions are wanted, as rows: what is open and what failed → over which route, with which role and from when another is wanted.
// What the tunnel does about it over time is in tunnel-recovery.test.ts and tunnel-continuity.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defined } from '../../../../src/contract/defined.ts';
import { silentLog } from '../../../../src/process/log.ts';
import { RouteAttempts } from '../../../../src/sidecar/tunnel/route-attempts.ts';
import { Routes } from '../../../../src/sidecar/tunnel/routes.ts';
import { SessionPlanner } from '../../../../src/sidecar/tunnel/session-planner.ts';
import { type Role, SessionPool } from '../../../../src/sidecar/tunnel/session-pool.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { MemoryDriver, MemorySession, refused } from './memory-driver.ts';

const sessionsWanted = 2;
const spareTimeoutMs = 14_000;
const unused = (): void => undefined;

interface Open {
  readonly via: string;
  readonly role: Role;
  /** Default: the present one. */
  readonly generation?: number;
  readonly is?: 'silent' | 'full';
}

interface Row {
  readonly name: string;
  readonly open?: readonly Open[];
  /** How many times the credentials changed. */
  readonly changes?: number;
  /** Routes that failed just now. */
  readonly failed?: readonly string[];
  readonly requested?: readonly string[];
  /** `via role`, and the milliseconds until the first attempt unless it may start at once. */
  readonly wanted: readonly string[];
}

const live = (via: string, is?: Open['is']): Open => defined({ via, role: 'live' as const, is });
const onB = [live('b'), live('b')];

const rows: readonly Row[] = [
  { name: 'nothing is open', wanted: ['a live', 'b live +250', 'c live +500'] },
  {
    name: 'nothing is open and the first route failed',
    failed: ['a'],
    wanted: ['b live', 'c live +250', 'a live +500'],
  },
  { name: 'all that is open is silent', open: [live('a', 'silent')], wanted: ['a live', 'b live +250', 'c live +500'] },
  {
    name: 'only a retired session is open',
    open: [{ via: 'a', role: 'retired' }],
    wanted: ['a live', 'b live +250', 'c live +500'],
  },
  { name: 'an outage, with a spare requested', requested: ['b'], wanted: ['a live', 'b live +250', 'c live +500'] },
  { name: 'as many as wanted', open: [live('a'), live('a')], wanted: [] },
  { name: 'the twin is missing', open: [live('a')], wanted: ['a live'] },
  { name: 'one of two is silent', open: [live('a'), live('a', 'silent')], wanted: ['a live'] },
  { name: 'one of two is full', open: [live('a'), live('a', 'full')], wanted: [] },
  { name: 'all are full', open: [live('a', 'full'), live('a', 'full')], wanted: ['a live'] },
  { name: 'more than wanted, all but one full', open: [live('a', 'full'), live('a', 'full'), live('a')], wanted: [] },
  { name: 'older credentials', changes: 1, open: [{ ...live('a'), generation: 0 }], wanted: ['a trial'] },
  {
    name: 'older credentials, newer ones on trial',
    changes: 1,
    open: [
      { ...live('a'), generation: 0 },
      { via: 'a', role: 'trial' },
    ],
    wanted: [],
  },
  {
    name: 'older credentials, those in between on trial',
    changes: 2,
    open: [
      { ...live('a'), generation: 0 },
      { via: 'a', role: 'trial', generation: 1 },
    ],
    wanted: ['a trial'],
  },
  { name: 'a worse route carries', open: onB, wanted: ['a trial'] },
  { name: 'a worse route carries, the better one failed', open: onB, failed: ['a'], wanted: ['a trial +60000'] },
  { name: 'a worse route carries without its twin', open: [live('b')], wanted: ['b live', 'a trial'] },
  { name: 'the better route is on trial', open: [...onB, { via: 'a', role: 'trial' }], wanted: [] },
  {
    name: 'the worst route carries, the second is on trial',
    open: [live('c'), live('c'), { via: 'b', role: 'trial' }],
    wanted: ['a trial'],
  },
  {
    name: 'the worst route carries, the first is on trial',
    open: [live('c'), live('c'), { via: 'a', role: 'trial' }],
    wanted: [],
  },
  {
    name: 'a route that the driver no longer names carries',
    open: [live('gone')],
    wanted: ['a trial', 'b trial', 'c trial'],
  },
  { name: 'a spare is requested', open: [live('a'), live('a')], requested: ['c'], wanted: ['c spare'] },
  {
    name: 'two spares are requested',
    open: [live('a'), live('a')],
    requested: ['c', 'b'],
    wanted: ['c spare', 'b spare'],
  },
  { name: 'a spare is requested over a better route', open: onB, requested: ['a'], wanted: ['a trial'] },
  {
    name: 'a spare is requested that is open',
    open: [live('a'), live('a'), { via: 'b', role: 'spare' }],
    requested: ['b'],
    wanted: [],
  },
  { name: 'a spare over an unknown route is requested', open: [live('a'), live('a')], requested: ['x'], wanted: [] },
];

interface Planned extends Disposable {
  readonly clock: FakeClock;
  readonly driver: MemoryDriver;
  readonly pool: SessionPool;
  readonly routes: Routes;
  readonly planner: SessionPlanner;
}

async function planned(): Promise<Planned> {
  const clock = new FakeClock();
  const driver = new MemoryDriver(clock, ['a', 'b', 'c']);
  const log = silentLog();
  const stop = new AbortController();
  const pool = new SessionPool({
    clock,
    drainTimeoutMs: 1,
    onLost: unused,
    onSuspectChange: unused,
    onRelease: unused,
    onBusyChange: unused,
  });
  const routes = new Routes({
    driver,
    clock,
    signal: stop.signal,
    onChange: unused,
    attemptsOf: (route) =>
      new RouteAttempts({
        driver,
        route,
        clock,
        log,
        deadlineMs: 10_000,
        onSession: unused,
        onStandsBy: unused,
        onFailure: unused,
        onAnswer: unused,
      }),
  });
  const planner = new SessionPlanner({
    pool,
    routes,
    sessionsWanted,
    spareTimeoutMs,
    isRefused: () => false,
    clock,
    log,
    onRequest: unused,
  });
  routes.refresh(clock.now());
  await clock.advance(1_000);
  return { clock, driver, pool, routes, planner, [Symbol.dispose]: () => planner.dropRequests() };
}

test('what is wanted follows from what is open, what failed and what is requested', async (t) => {
  for (const { name, open = [], changes = 0, failed = [], requested = [], wanted } of rows) {
    await t.test(name, async () => {
      using world = await planned();
      const { clock, driver, pool, routes, planner } = world;
      for (let change = 0; change < changes; change++) planner.startGeneration();
      for (const { via, role, generation = changes, is } of open) {
        const session = new MemorySession(driver, via);
        session.suspect = is === 'silent';
        session.spent = is === 'full';
        const entry = pool.add(session, role === 'retired' ? 'live' : role, generation);
        pool.carry(entry);
        if (role === 'retired') pool.retire(entry);
      }
      for (const via of failed) routes.markFailed(via, refused(via));
      const { signal } = new AbortController();
      for (const via of requested) void planner.requestSpare(via, { signal });
      const now = clock.now();
      assert.deepEqual(
        planner.wanted(now).map(({ via, purpose, from }) => `${via} ${purpose}${from > now ? ` +${from - now}` : ''}`),
        wanted,
      );
      for (const via of ['a', 'b', 'c', 'gone']) {
        const line = wanted.find((one) => one.startsWith(`${via} `));
        assert.equal(planner.purposeOf(via, now), line?.split(' ')[1], `a session over ${via} that is opened now`);
      }
    });
  }
});

test('a request for a spare is answered when its time is over, when its route fails, and when nobody is to wait', async () => {
  const ends: Readonly<Record<string, (world: Planned) => void>> = {
    time: ({ planner, clock }) => planner.maintain(clock.now() + spareTimeoutMs),
    failure: ({ planner, routes, clock }) => {
      routes.markFailed('b', refused('b'));
      planner.maintain(clock.now());
    },
    drop: ({ planner }) => planner.dropRequests(),
  };
  for (const [name, end] of Object.entries(ends)) {
    using world = await planned();
    const { pool, planner, driver, clock, routes } = world;
    driver.answers.set('b', 'silent');
    for (const via of ['a', 'a']) pool.add(new MemorySession(driver, via), 'live', 0);
    let answer: unknown = 'none yet';
    const request = planner.requestSpare('b', { signal: new AbortController().signal }).then((got) => (answer = got));
    assert(planner.maintain(clock.now()) <= clock.now() + spareTimeoutMs, 'it looks again when the time is over');
    await settle();
    assert.equal(answer, 'none yet', name);
    assert.equal(routes.get('b')?.inFlight, 1, name);
    end(world);
    await request;
    assert.equal(answer, undefined, name);
    planner.maintain(clock.now());
    assert.equal(routes.get('b')?.inFlight, 0, `${name}: the attempt ends with the request`);
  }
});
