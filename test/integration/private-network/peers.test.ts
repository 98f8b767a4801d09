import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startPostgres } from '../../../lab/private-network/postgres.ts';
import { startRedis } from '../../../lab/private-network/redis.ts';
import { generateKey, greets, startSshd } from '../../../lab/private-network/sshd.ts';
import { command } from '../../../lab/process/command.ts';

const directory = mkdtempSync(join(tmpdir(), 'portforward-peers-'));
after(() => rmSync(directory, { recursive: true }));

test('PostgreSQL shows its rows, refuses while it is killed, and comes back on the same port', async (t) => {
  const postgres = await startPostgres({ ssl: true });
  t.after(() => postgres.stop());
  const query = (): Promise<string> =>
    command(
      'psql',
      [
        '-At',
        '-c',
        'select customer from orders order by id',
        `host=${postgres.host} port=${postgres.port} user=orders dbname=orders sslmode=require`,
      ],
      {
        env: { PGPASSWORD: postgres.password },
      },
    );
  assert.equal(await query(), 'Ada\nGrace\nBarbara\n');
  await postgres.kill();
  await assert.rejects(query(), /Connection refused/);
  await postgres.start();
  assert.equal(await query(), 'Ada\nGrace\nBarbara\n');
});

test('sshd forwards for its own user and resolves its own names, and its sessions can be killed', async (t) => {
  const key = await generateKey(directory);
  const redis = await startRedis();
  t.after(() => redis.stop());
  const sshd = await startSshd({ authorizedKeys: [key.publicKey], hosts: { 'cache.internal': '127.0.0.1' } });
  t.after(() => sshd.stop());
  assert.ok(await greets(sshd.host, sshd.port));
  const options = [
    '-i',
    key.file,
    '-p',
    `${sshd.port}`,
    '-o',
    'StrictHostKeyChecking=no',
    '-o',
    'UserKnownHostsFile=/dev/null',
    '-o',
    'BatchMode=yes',
  ];
  const answer = await command('ssh', [...options, '-W', `cache.internal:${redis.port}`, `tunnel@${sshd.host}`], {
    input: 'PING\r\nQUIT\r\n',
  });
  assert.match(answer, /\+PONG/);
  await sshd.kill();
  assert.equal(await greets(sshd.host, sshd.port), false);
  await sshd.start();
  assert.ok(await greets(sshd.host, sshd.port));
});
