// The suite that every driver passes, for the ssm driver against the Session Manager service.
import { randomUUID } from 'node:crypto';
import type { Logger } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import type { Driver } from '../../../src/sidecar/base/driver.ts';
import { createSsmDriver } from '../../../src/sidecar/drivers/ssm/driver.ts';
import { driverSuite } from '../../driver-suite/suite.ts';
import { SessionManager } from '../../support/ssm/session-manager.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { configFor } from './ssm-world.ts';

/** A destination that no test dials: the agent connects to it only for a stream. */
const unused = 1;
const wrongSecret = 'a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0';

driverSuite('ssm', { halfClose: false, dialTells: false }, async () => {
  const service = await SessionManager.start();
  await service.set({ Pace: false });
  const { accessKeyId, secretAccessKey } = service.credentials;
  const secretOf = (key: string): SecretDirectory =>
    new SecretDirectory({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: key });
  const [right, wrong] = [secretOf(secretAccessKey), secretOf(wrongSecret)];
  const driver = (secret: SecretDirectory, log: Logger, ports: readonly number[] = [unused]): Driver =>
    createSsmDriver(
      { ...configFor(service), credentials: { secretName: 'aws', directory: secret.directory } },
      {
        destinations: ports.map((port) => ({ host: '127.0.0.1', port })),
        allowedEndpoints: [service.endpoint],
        persistent: true,
        drainTimeoutMs: 30_000,
        // A pod has one driver, which ends the sessions that others have started with the same reason.
        reason: `portforward/test/suite/${randomUUID()}`,
        podUid: 'uid',
        log,
        budget: new ByteBudget(),
      },
    );
  return {
    driver: (log, ports) => driver(right, log, ports),
    refusedDriver: (log) => ({ driver: driver(wrong, log), code: 'CredentialsRefused' }),
    destination: (port) => ({ host: '127.0.0.1', port }),
    loseSessions: () => service.order('end'),
    freeze: () => {
      service.freeze();
      return () => service.thaw();
    },
    secrets: [secretAccessKey, wrongSecret],
    async stop() {
      await service.stop();
      right[Symbol.dispose]();
      wrong[Symbol.dispose]();
    },
  };
});
