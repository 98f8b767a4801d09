import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { startPrivateNetwork } from '../../../lab/private-network/network.ts';
import { greets } from '../../../lab/private-network/sshd.ts';
import { command } from '../../../lab/process/command.ts';

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
