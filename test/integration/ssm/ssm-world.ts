// The ssm driver against the Session Manager service: the common beginning of this folder's tests.
import { randomUUID } from 'node:crypto';
import { after, afterEach } from 'node:test';
import type { SsmConfig } from '../../../src/contract/tunnel-config.ts';
import { createLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import type { Destination, Driver, Session } from '../../../src/sidecar/base/driver.ts';
import { createSsmApi } from '../../../src/sidecar/drivers/ssm/aws/api.ts';
import type { SsmRoute } from '../../../src/sidecar/drivers/ssm/aws/ssm-route.ts';
import { createSsmDriver, type SsmDriverOptions } from '../../../src/sidecar/drivers/ssm/driver.ts';
import { SessionManager } from '../../support/ssm/session-manager.ts';

const instance = 'i-0123456789abcdef0';

/** The config of a tunnel through the service's node; its AWS APIs are all at one address. */
export function configFor({ endpoint }: SessionManager): SsmConfig {
  return {
    region: 'eu-west-1',
    target: { instanceId: instance },
    sessions: 1,
    maxSessionMinutes: 0,
    endpoints: { ssm: endpoint, ssmmessages: '', sts: endpoint, ecs: endpoint },
  };
}

export class SsmWorld {
  readonly service: SessionManager;
  readonly #endings: (() => Promise<unknown>)[] = [];

  /** One service for a file's tests; everything that a test opens ends with it. */
  static async start(): Promise<SsmWorld> {
    const world = new SsmWorld(await SessionManager.start());
    afterEach(() => world.#endAll());
    after(() => world.service.stop());
    return world;
  }

  private constructor(service: SessionManager) {
    this.service = service;
  }

  driver(
    destinations: readonly Destination[],
    { config = {}, ...options }: Partial<SsmDriverOptions> & { readonly config?: Partial<SsmConfig> } = {},
  ): Driver<SsmRoute> {
    const { endpoint, credentials } = this.service;
    const policy = { region: 'eu-west-1', allowed: [endpoint] };
    const driver = createSsmDriver(
      { ...configFor(this.service), ...config },
      {
        destinations,
        allowedEndpoints: [endpoint],
        persistent: true,
        drainTimeoutMs: 30_000,
        // A pod has one driver, which ends the sessions that others have started with the same reason.
        reason: `portforward/shop/orders-db/${randomUUID()}`,
        podUid: 'uid',
        log: createLog({ level: 'silent' }),
        budget: new ByteBudget(),
        api: createSsmApi({ policy, endpoint, credentials: async () => credentials }),
        ...options,
      },
    );
    this.#endings.push(() => driver.close());
    return driver;
  }

  async connect(driver: Driver<SsmRoute>): Promise<Session> {
    const signal = AbortSignal.timeout(30_000);
    const [route] = await driver.routes({ signal });
    if (route === undefined) throw new Error('no route');
    const session = await driver.connect(route, { signal, log: createLog({ level: 'silent' }) });
    this.#endings.push(() => session.close());
    return session;
  }

  async #endAll(): Promise<void> {
    for (const end of this.#endings.splice(0).reverse()) await end();
  }
}
