// How a whole sidecar ends, with a driver without a network: open connections are reset in time, and nothing delays the end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { configVariable } from '../../../src/contract/pod.ts';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { silentLog } from '../../../src/process/log.ts';
import type { EngineOptions } from '../../../src/sidecar/base/native-engine.ts';
import { runSidecar } from '../../../src/sidecar/main.ts';
import { type Sidecar, startSidecar } from '../../../src/sidecar/sidecar.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeEngine } from '../../support/fake-engine.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { MemoryDriver, orders } from './tunnel/memory-driver.ts';

const config: TunnelConfig = {
  version: 1,
  namespace: 'shop',
  name: 'orders-db',
  forwards: [{ ...orders, appProtocol: 'tcp', health: 'Off' }],
  connection: { mode: 'Persistent', idleTimeoutSeconds: 600, maxConnections: 10, drainTimeoutSeconds: 30 },
  healthCheck: { intervalSeconds: 10, timeoutSeconds: 3, failureThreshold: 3, readinessPolicy: 'Transport' },
  driver: 'ssh',
  ssh: sshConfig([]),
};

/** A running sidecar whose destinations are these streams; they end with their session. */
async function sidecarBefore(clock: FakeClock, destination: () => Duplex): Promise<Sidecar> {
  const driver = new MemoryDriver(clock, ['a:22']);
  const open = driver.connect.bind(driver);
  driver.connect = async (...given) => {
    const session = await open(...given);
    session.dial = async () => {
      const stream = destination();
      session.signal.addEventListener('abort', () => stream.destroy(session.signal.reason as Error));
      return stream;
    };
    return session;
  };
  const sidecar = await startSidecar(config, {
    podUid: 'uid-1',
    environment: {},
    log: silentLog(),
    address: '127.0.0.1',
    clock,
    openDriver: async () => ({ driver, sessionsWanted: 1, connectTimeoutMs: 10_000 }),
  });
  await clock.advance(0);
  return sidecar;
}

test('a client that ended and a destination that takes no more bytes do not delay the drain', {
  timeout: 30_000,
}, async () => {
  const clock = new FakeClock();
  // It has sent its end and does not take any bytes.
  const silent = (): Duplex =>
    new Duplex({
      read() {
        this.push(null);
      },
      write: () => undefined,
    });
  const sidecar = await sidecarBefore(clock, silent);
  const client = connect(sidecar.ports[0]?.port ?? 0, '127.0.0.1');
  client.resume();
  client.end('the last question');
  await once(client, 'close');
  const stopping = sidecar.stop({ drainMs: 1_000 });
  let isOver = false;
  void stopping.then(() => (isOver = true));
  await clock.advance(900);
  assert.equal(isOver, false, 'until then it may still take them');
  await clock.advance(200);
  await stopping;
});

test('open connections are reset at the limit of this stop, whatever the document’s limit is', async () => {
  const clock = new FakeClock();
  const sidecar = await sidecarBefore(
    clock,
    () => new Duplex({ read: () => undefined, write: (_c, _e, done) => done() }),
  );
  const client = connect(sidecar.ports[0]?.port ?? 0, '127.0.0.1');
  await once(client, 'connect');
  const [broken] = await Promise.all([
    once(client, 'error') as Promise<[NodeJS.ErrnoException]>,
    sidecar.stop({ drainMs: 0 }),
    clock.advance(1),
  ]);
  assert.equal(broken[0].code, 'ECONNRESET');
  assert.equal(clock.pending, 0);
});

test('the engine’s clients are those of the sidecar: in its status and its metrics, in its limit and in its drain', async () => {
  const clock = new FakeClock();
  const driver = new MemoryDriver(clock, ['a:22']);
  driver.carriesNatively = true;
  const engines: FakeEngine[] = [];
  const spans: string[] = [];
  const sidecar = await startSidecar(config, {
    trace: ({ name }) => void spans.push(name),
    podUid: 'uid-1',
    environment: {},
    log: silentLog(),
    adminPort: 0,
    clock,
    engine: {
      interfaceVersion: 1,
      Engine: class extends FakeEngine {
        constructor(options: EngineOptions) {
          super(options);
          engines.push(this);
        }
      },
    },
    openDriver: async (_config, { engine }) => {
      assert.equal(engine, engines[0], 'the driver’s sessions and the ports have one engine');
      return { driver, sessionsWanted: 1, connectTimeoutMs: 10_000, carriesNatively: true };
    },
  });
  await clock.advance(0);
  const [engine] = engines;
  const [session] = driver.open;
  const client = connect(sidecar.ports[0]?.port ?? 0, '127.0.0.1');
  client.on('error', () => undefined);
  client.write('hello');
  await once(client, 'data');
  assert.deepEqual([session?.dials.length, session?.carrier?.channels], [0, 1]);
  assert.equal(sidecar.status().ports[0]?.clients, 1);
  assert.deepEqual(spans, ['connect', 'dial']);
  const page = await fetch(`http://127.0.0.1:${sidecar.adminPort}/metrics`);
  const metrics = await page.text();
  for (const series of ['open_connections 1', 'native_sessions 1', 'connections_total{port="postgres"} 1']) {
    assert(metrics.includes(`portforward_tunnel_${series}\n`), series);
  }
  // The budget is one: what the engine holds is counted.
  const cells = engine?.options.budget;
  assert(cells !== undefined);
  cells[1] = 4_096;
  const counted = await (await fetch(`http://127.0.0.1:${sidecar.adminPort}/metrics`)).text();
  assert.match(counted, /^portforward_tunnel_buffered_bytes 4096$/m);
  const stopping = sidecar.stop();
  let isOver = false;
  void stopping.then(() => (isOver = true));
  await clock.advance(29_000);
  assert.equal(isOver, false, 'it is still connected');
  client.end();
  await once(client, 'close');
  await clock.advance(0);
  await stopping;
  assert.equal(clock.pending, 0);
});

test('a stop that came while the program was loading ends it at once, without a port and without a drain', async () => {
  const reason = new Error('stop requested');
  process.env[configVariable] = JSON.stringify({
    ...config,
    ssh: sshConfig([{ host: '127.0.0.1', port: 9, user: 'tunnel' }]),
  });
  try {
    await assert.rejects(runSidecar({ signal: AbortSignal.abort(reason), log: silentLog(), adminPort: 0 }), reason);
  } finally {
    delete process.env[configVariable];
  }
});
