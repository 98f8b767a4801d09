// The suite that every driver passes, for the fly driver against a gateway on wireguard-go and fly.io’s API on the wire.
import type { Logger } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import type { Driver } from '../../../src/sidecar/base/driver.ts';
import { createFlyDriver } from '../../../src/sidecar/drivers/fly/driver.ts';
import { driverSuite } from '../../driver-suite/suite.ts';
import { flyWorld } from '../../support/fly/fly-world.ts';
import { SecretDirectory } from '../ssh/ssh-world.ts';
import { flyHelper, signalHelpers } from './fly-helper.ts';

const wrongToken = 'fo1_a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0';
const rightToken = 'fo1_0123456789abcdef0123456789abcdef';

driverSuite('fly', { halfClose: true, dialTells: true }, async () => {
  const world = await flyWorld();
  world.api.tokens.add(rightToken);
  const helperProgram = await flyHelper();
  const [right, wrong] = [rightToken, wrongToken].map((token) => new SecretDirectory({ FLY_API_TOKEN: token }));
  if (right === undefined || wrong === undefined) throw new Error('no Secrets');
  const driver = (secret: SecretDirectory, log: Logger): Driver =>
    createFlyDriver(
      {
        app: 'orders-db',
        network: '',
        region: '',
        transport: 'Auto',
        directory: '',
        credentials: { secretName: 'fly', directory: secret.directory },
      },
      {
        namespace: 'test',
        name: 'suite',
        podUid: 'uid',
        log,
        budget: new ByteBudget(),
        helperProgram,
        apiUrl: world.api.url,
        environment: {},
        gateways: { udp: world.gateway.udpPort, webSocket: world.gateway.wsPort },
      },
    );
  return {
    driver: (log) => driver(right, log),
    refusedDriver: (log) => ({ driver: driver(wrong, log), code: 'TokenRefused' }),
    destination: (port) => ({ host: 'orders-db.internal', port }),
    loseSessions: () => signalHelpers('SIGKILL'),
    freeze: () => {
      world.gateway.freeze();
      return () => world.gateway.thaw();
    },
    secrets: [rightToken, wrongToken],
    async stop() {
      await world[Symbol.asyncDispose]();
      right[Symbol.dispose]();
      wrong[Symbol.dispose]();
    },
  };
});
