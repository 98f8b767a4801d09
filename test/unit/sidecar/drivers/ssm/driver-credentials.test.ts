import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { connect, database, endings, setting, works } from './driver-world.ts';

test('the first session proves that it may be resumed; without the permission nothing is opened, and the reason says so', async () => {
  const the = await setting();
  the.fake.resumeError = new TunnelError('ResumeDenied', 'no');
  await assert.rejects(connect(the), (error) => error instanceof TunnelError && error.code === 'ResumeDenied');
  while (the.fake.sockets > 0) await delay(5);
  the.fake.resumeError = undefined;
  await works(await connect(the), database);
  const resumed = the.fake.count('resume');
  await works(await connect(the), database);
  assert.equal(the.fake.count('resume'), resumed);
});

test('changed keys in the Secret are reported within about a second', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ssm-keys-'));
  endings.push(() => rm(directory, { recursive: true }));
  const the = await setting({ config: { credentials: { secretName: 'aws', directory } } });
  let told = 0;
  const stop = the.driver.onCredentialsChange(() => {
    told += 1;
  });
  await connect(the);
  await delay(1_100);
  assert.equal(told, 0);
  await writeFile(join(directory, 'AWS_ACCESS_KEY_ID'), 'AKIDEXAMPLE');
  while (told === 0) await delay(20);
  stop();
  // It is not known yet whether the new keys may resume.
  const resumed = the.fake.count('resume');
  await connect(the);
  assert.equal(the.fake.count('resume'), resumed + 1);
});

test('keys that AWS refuses are told, while the session of the earlier ones goes on, and no more once they are corrected', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ssm-keys-'));
  endings.push(() => rm(directory, { recursive: true }));
  const the = await setting({ config: { credentials: { secretName: 'aws', directory } }, clock: new FakeClock() });
  const verdict = () => the.driver.credentialsVerdict?.();
  assert.equal(verdict()?.isTried, false);
  const session = await connect(the);
  assert.deepEqual(verdict(), { isTried: true, refused: new Map() });

  let told = 0;
  const stop = the.driver.onCredentialsChange(() => {
    told += 1;
  });
  // The watch begins with what the files hold when it first reads them.
  for (let version = 1; told === 0; version += 1) {
    await writeFile(join(directory, 'AWS_ACCESS_KEY_ID'), `AKIDWRONG${version}`);
    await delay(700);
  }
  stop();
  assert.equal(verdict()?.isTried, false, 'what was accepted were the earlier keys');
  the.fake.startError = new TunnelError('CredentialsRefused', 'AWS does not know the access key of Secret aws');
  await assert.rejects(connect(the));
  assert.equal(verdict()?.refused.get('i-0abc')?.code, 'CredentialsRefused');
  await works(session, database);

  // What says nothing of the keys changes nothing.
  the.fake.startError = new TunnelError('TargetNotConnected', 'i-0abc is not connected');
  await assert.rejects(connect(the));
  assert.equal(verdict()?.refused.size, 1);

  the.fake.startError = undefined;
  await connect(the);
  assert.deepEqual(verdict(), { isTried: true, refused: new Map() });
});

test('an identity that is not from a Secret is not judged', async () => {
  const the = await setting();
  await connect(the);
  assert.equal(the.driver.credentialsVerdict, undefined);
});
