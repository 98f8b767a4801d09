// The driver against the fake service of this process: the common beginning of the driver's tests.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { afterEach } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../../../../lab/base/eventually.ts';
import type { SsmConfig } from '../../../../../src/contract/tunnel-config.ts';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import type { Destination, Driver, Session } from '../../../../../src/sidecar/base/driver.ts';
import type { SsmRoute } from '../../../../../src/sidecar/drivers/ssm/aws/ssm-route.ts';
import { createSsmDriver, type SsmDriverOptions } from '../../../../../src/sidecar/drivers/ssm/driver.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { FakeService } from './fake-service.ts';
import { silentLog } from './silent-log.ts';

export const database: Destination = { host: 'db.internal', port: 5432 };
export const cache: Destination = { host: 'localhost', port: 6379 };
export const route: SsmRoute = { via: 'i-0abc', target: 'i-0abc' };
/** Called in reverse order after each test of the file. */
export const endings: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

export interface Setting {
  readonly fake: FakeService;
  readonly driver: Driver<SsmRoute>;
  readonly destinations: readonly Destination[];
  readonly clock: FakeClock | undefined;
}

/** A driver with its own service. */
export async function setting(
  options: Partial<SsmDriverOptions> & { config?: Partial<SsmConfig> } = {},
): Promise<Setting> {
  const fake = await new FakeService().start();
  endings.push(() => fake.stop());
  const { config, ...more } = options;
  const driver = createSsmDriver(
    {
      region: 'eu-west-1',
      target: { instanceId: 'i-0abc' },
      sessions: 1,
      maxSessionMinutes: 0,
      endpoints: { ssm: '', ssmmessages: '', sts: '', ecs: '' },
      ...config,
    },
    {
      destinations: [database],
      allowedEndpoints: [fake.origin.replace('ws:', 'http:')],
      persistent: true,
      drainTimeoutMs: 30_000,
      reason: 'portforward/shop/orders-db/uid',
      podUid: 'uid',
      log: silentLog,
      budget: new ByteBudget(),
      api: fake,
      random: () => 0,
      ...more,
    },
  );
  endings.push(() => driver.close());
  const clock = more.clock instanceof FakeClock ? more.clock : undefined;
  return { fake, driver, destinations: more.destinations ?? [database], clock };
}

/** The pause between two starts, with the smallest random part. */
const startPauseMs = 50;

/** A session as the driver opens it; on a virtual clock the pauses between its starts pass. */
export async function opened({ fake, driver, destinations, clock }: Setting): Promise<Session> {
  let started = fake.count('start');
  const all = started + destinations.length;
  const session = driver.connect(route, { signal: new AbortController().signal, log: silentLog });
  session.catch(() => undefined);
  while (clock !== undefined && (started += 1) < all) {
    await eventually('the next start', () => fake.count('start') >= started);
    await clock.advance(startPauseMs);
  }
  return await session;
}

/** A session whose streams work. */
export async function connect(the: Setting): Promise<Session> {
  const { fake, destinations, clock } = the;
  // So long lies between two starts for one destination.
  if (fake.agents.length > 0) await clock?.advance(5_000);
  const session = await opened(the);
  endings.push(async () => {
    fake.silent = false;
    let closed = false;
    const closing = session.close().then(() => {
      closed = true;
    });
    // What the agent did not get while it was silent is repeated by this clock.
    while (clock !== undefined && !closed) {
      await clock.advance(100);
      await delay(1);
    }
    await closing;
  });
  // Now the service has the same socket as we.
  for (const destination of destinations) await works(session, destination);
  return session;
}

export async function dial(session: Session, destination: Destination): Promise<Duplex> {
  return session.dial(destination, { signal: new AbortController().signal });
}

export async function works(session: Session, destination: Destination): Promise<void> {
  const stream = await dial(session, destination);
  stream.write('ping');
  assert.equal(String((await once(stream, 'data'))[0]), 'ping');
  stream.destroy();
}

/** Lets time pass in steps so small that the agent's answers, which take real time, keep up. */
export async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 2_000) {
    await clock.advance(2_000);
    await delay(1);
  }
}
