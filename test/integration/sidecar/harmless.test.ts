// Probes that do no harm: what MariaDB, PostgreSQL and Redis count and log while the sessions to the bastion end two hundred times.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { startMariadb } from '../../../lab/private-network/mariadb.ts';
import { startPostgres } from '../../../lab/private-network/postgres.ts';
import { startRedis } from '../../../lab/private-network/redis.ts';
import { command } from '../../../lab/process/command.ts';
import { openSidecar, portOf, startBastion, tunnelConfig } from './sidecar-world.ts';

/** Their first probes are fewer than the ten broken handshakes that block an address. */
const pods = 8;
const rounds = 25;

test('two hundred reconnects leave no error in MariaDB, PostgreSQL and Redis, and no line in their logs', {
  timeout: 300_000,
}, async (t) => {
  const [mariadb, postgres, redis, bastion] = await Promise.all([
    startMariadb({ maxConnectErrors: 10 }),
    startPostgres(),
    startRedis(),
    // Whatever the pace of the reconnects.
    startBastion({ config: ['MaxStartups 1000'] }),
  ]);
  t.after(() => Promise.all([mariadb.stop(), postgres.stop(), redis.stop(), bastion.stop()]));
  const forwards = [
    { port: mariadb.port, appProtocol: 'mysql', health: 'Passive' },
    { port: postgres.port, appProtocol: 'postgresql', health: 'Active' },
    { port: redis.port, appProtocol: 'redis', health: 'Active' },
  ] as const;
  const config = tunnelConfig([bastion.hop], { forwards });
  const sidecars = await Promise.all(Array.from({ length: pods }, () => openSidecar(config)));
  t.after(() => Promise.all(sidecars.map((sidecar) => sidecar.stop())));
  const ports = (): readonly { reachable: boolean | null }[] => sidecars.flatMap((sidecar) => sidecar.status().ports);
  await eventually('all are reachable', () => ports().every(({ reachable }) => reachable === true));

  /** A person's own connections over the unix socket are no part of it. */
  const counted = async () => ({
    mariadb: await mariadb.query(
      `SELECT variable_name, variable_value FROM information_schema.global_status
       WHERE variable_name IN ('ABORTED_CONNECTS', 'ABORTED_CONNECTS_PREAUTH', 'ABORTED_CLIENTS', 'ACCESS_DENIED_ERRORS')
       ORDER BY 1; SELECT ip, sum_connect_errors, count_host_blocked_errors FROM performance_schema.host_cache`,
    ),
    mariadbLines: mariadb.log().filter((line) => /warning|error|note/i.test(line)).length,
    // Its own account of each connection is switched on here, and is no complaint.
    postgresLines: postgres.log().filter((line) => !line.includes('connection received')).length,
    redis: (await command('redis-cli', ['-p', `${redis.port}`, 'INFO', 'stats']))
      .split('\n')
      .filter((line) => /^(rejected_connections|total_error_replies|unexpected_error_replies|acl_access)/.test(line)),
  });
  const before = await counted();
  const start = performance.now();
  const logins = (): number => bastion.sshd.log().filter((line) => line.startsWith('Accepted publickey for')).length;
  const isConnected = (): boolean => sidecars.every((sidecar) => sidecar.status().state === 'Connected');
  for (let round = 0; round < rounds; round += 1) {
    const seen = logins();
    bastion.sshd.killSessions();
    await eventually('each pod has logged in anew', () => logins() >= seen + pods && isConnected());
  }
  t.diagnostic(`${pods} times ${rounds} reconnects in ${Math.round((performance.now() - start) / 1000)} s`);
  assert.deepEqual(await counted(), before);
  // And the bastion's address is not blocked: a client is served.
  const [first] = sidecars;
  assert.ok(first);
  const client = [
    '--no-defaults',
    '-h',
    '127.0.0.1',
    '-P',
    `${portOf(first)}`,
    '-u',
    'root',
    '-N',
    '-B',
    '-e',
    'SELECT 7',
  ];
  assert.equal((await command('mariadb', client)).trim(), '7');
});
