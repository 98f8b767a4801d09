import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { removeAbandonedNetworks, startPrivateNetwork } from '../../../lab/private-network/network.ts';
import { greets } from '../../../lab/private-network/sshd.ts';
import { command } from '../../../lab/process/command.ts';
import { startedAt } from '../../../lab/process/proc.ts';

test('the database is reached through either bastion and not without one, and every fault heals', async (t) => {
  const network = await startPrivateNetwork({ instance: 7 });
  t.after(() => network.stop());
  const { bastions, key, postgres } = network;
  await assert.rejects(
    command('psql', ['-c', 'select 1', `host=${postgres.host} user=orders connect_timeout=3`]),
    /No route to host|Network is unreachable|timeout/,
  );
  for (const bastion of [bastions.a, bastions.b]) {
    const options = ['-i', key.file, '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'];
    // An SSLRequest (PostgreSQL protocol §55.2.11): one byte comes back, N without TLS.
    const answer = await command('sh', [
      '-c',
      `printf '\\0\\0\\0\\10\\4\\322\\26\\57' | ssh ${options.join(' ')} -W orders.db.internal:5432 tunnel@${bastion.address}`,
    ]);
    assert.equal(answer, 'N');
    for (const fault of ['blackHole', 'refuse', 'linkDown'] as const) {
      await bastion[fault]();
      assert.equal(await greets(bastion.address, 22, 500), false, fault);
      await bastion.heal();
      await eventually(`it greets again after ${fault}`, () => greets(bastion.address, 22));
    }
  }
});

test('nothing is left behind', async () => {
  const network = await startPrivateNetwork({ instance: 6 });
  await network.stop();
  await network.stop();
  assert.doesNotMatch(await command('ip', ['netns', 'list']), /pf6-/);
  assert.doesNotMatch(await command('ip', ['-o', 'link']), /pf6-/);
  assert.doesNotMatch(await command('ip', ['route']), /198\.19\.6/);
});

test('what a killed process left is removed, and the networks of the living are not', async (t) => {
  const living = await startPrivateNetwork({ instance: 5 });
  t.after(() => living.stop());
  const module = join(import.meta.dirname, '../../../lab/private-network/network.ts');
  const script = `import { startPrivateNetwork } from ${JSON.stringify(module)};
    await startPrivateNetwork({ instance: 4 });
    console.log('started');`;
  const owner = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(owner.stdout, 'data');
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  const left = (instance: number) => async (): Promise<boolean> => {
    const all = [['netns', 'list'], ['-o', 'link'], ['route']].map((args) => command('ip', args));
    return new RegExp(`pf${instance}-|198\\.19\\.${instance}\\.`).test((await Promise.all(all)).join(''));
  };
  const names = (await command('ip', ['netns', 'list'])).match(/pf4-\S+/g) ?? [];
  const pids = (await Promise.all(names.map((name) => command('ip', ['netns', 'pids', name])))).join('').match(/\d+/g);
  assert.ok(pids !== null, 'its PostgreSQL runs on');
  assert.equal(await left(4)(), true);
  await removeAbandonedNetworks();
  assert.equal(await left(4)(), false);
  await eventually('its processes have ended', () => pids.every((pid) => startedAt(Number(pid)) === undefined));
  assert.equal(await left(5)(), true);
  assert.ok(await greets(living.bastions.a.address, 22));
});
