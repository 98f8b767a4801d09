// The product's promise in one file: psql through the sidecar and a real bastion, with and without the database behind it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Postgres, startPostgres } from '../../../lab/private-network/postgres.ts';
import { CommandFailed } from '../../../lab/process/command.ts';
import type { Sidecar } from '../../../src/sidecar/sidecar.ts';
import {
  type Bastion,
  openSidecar,
  portOf,
  psql,
  startBastion,
  tunnelConfig,
  until,
  untilConnected,
} from './sidecar-world.ts';

let postgres: Postgres;
let bastion: Bastion;
let sidecar: Sidecar;

/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  postgres = started.adopt(await startPostgres(), async (it) => await it.stop());
  bastion = started.adopt(await startBastion(), async (it) => await it.stop());
  const config = tunnelConfig([bastion.hop], {
    forwards: [{ name: 'postgres', port: postgres.port, appProtocol: 'postgresql', health: 'Active' }],
    healthCheck: { intervalSeconds: 0.5, timeoutSeconds: 10 },
  });
  sidecar = started.adopt(await openSidecar(config), async (it) => await it.stop());
});

test('psql reads rows through the tunnel', async () => {
  await untilConnected(sidecar);
  const rows = await psql(postgres, portOf(sidecar), 'SELECT customer FROM orders ORDER BY id');
  assert.deepEqual(rows.trim().split('\n'), ['Ada', 'Grace', 'Barbara']);
});

test('a client that comes before the first session is held and then served', async () => {
  const config = tunnelConfig([bastion.hop], { forwards: [{ port: postgres.port, appProtocol: 'postgresql' }] });
  const early = await openSidecar(config);
  try {
    assert.equal((await psql(postgres, portOf(early), 'SELECT 1')).trim(), '1');
  } finally {
    await early.stop();
  }
});

test('a stopped database is told by status and by psql itself, in every sslmode that lets it, and heals by itself', async () => {
  await until(sidecar, () => sidecar.status().ports[0]?.reachable === true);
  await postgres.kill();
  try {
    // A probe that was under way when the database was killed may give another reason first.
    await until(sidecar, () => {
      const [port] = sidecar.status().ports;
      return port?.reachable === false && port.reason === 'DestinationRefused';
    });
    assert.equal(sidecar.status().state, 'Connected', 'the transport is not to blame');
    for (const mode of ['disable', 'allow', 'prefer']) {
      const error = await psql(postgres, portOf(sidecar), 'SELECT 1', `sslmode=${mode}`).then(
        () => assert.fail('psql worked without a database'),
        (failure: unknown) => failure,
      );
      assert(error instanceof CommandFailed);
      assert.match(error.stderr, /portforward: .*refuse.* \(DestinationRefused\)/i, `sslmode=${mode}`);
    }
  } finally {
    await postgres.start();
  }
  await until(sidecar, () => sidecar.status().ports[0]?.reachable === true);
  assert.equal((await psql(postgres, portOf(sidecar), 'SELECT 1')).trim(), '1');
});

test('probes leave no complaint in the database’s log', async () => {
  await until(sidecar, () => sidecar.status().ports[0]?.reachable === true);
  const before = postgres.log().length;
  const probes = (): readonly string[] => postgres.log().slice(before);
  // The server under test is told to log connections; half a second lies between two probes.
  await until(sidecar, () => probes().filter((line) => line.includes('connection received')).length >= 4);
  assert.deepEqual(
    probes().filter((line) => !line.includes('connection received')),
    [],
  );
});

test('the admin port counts what was carried', async () => {
  let text = '';
  const value = (series: string): number =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(series))
        ?.split(' ')
        .at(-1),
    );
  // Where sshd was kept waiting for its turn, another session is being opened.
  await until(sidecar, async () => {
    text = await (await fetch(`http://127.0.0.1:${sidecar.adminPort}/metrics`)).text();
    return value('portforward_tunnel_sessions{part="live"}') === 2 && value('portforward_tunnel_ready') === 1;
  });
  assert(value('portforward_tunnel_bytes_total{port="postgres",direction="to_client"}') > 0);
  assert(value('portforward_tunnel_connections_total{port="postgres"}') > 0);
  assert(value('portforward_tunnel_dial_failures_total{code="DestinationRefused"}') > 0);
  assert.equal(value('portforward_tunnel_destination_reachable{port="postgres"}'), 1);
  assert.equal(value('portforward_tunnel_native_crypto'), 1, 'ssh’s native crypto is built in');
});
