import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isOnlyUser } from '../../../../../../lab/process/user.ts';
import { CredentialStore } from '../../../../../../src/sidecar/drivers/ssh/login/credentials.ts';

const nobody = 65_534;

test('a key file that this user may not read is told as that, not as a Secret that does not exist', async (t) => {
  const isRoot = process.getuid?.() === 0;
  if (isRoot && isOnlyUser()) return t.skip('root reads everything, and there is no other user here');
  const directory = mkdtempSync(join(tmpdir(), 'portforward-unreadable-'));
  t.after(() => rmSync(directory, { recursive: true }));
  chmodSync(directory, 0o755);
  const file = join(directory, 'ssh-privatekey');
  writeFileSync(file, 'a key');
  chmodSync(file, 0o000);
  const store = new CredentialStore({ secretName: 'orders-bastion', directory });
  if (isRoot) process.seteuid?.(nobody);
  try {
    const message = /ssh-privatekey of Secret orders-bastion may not be read/;
    await assert.rejects(store.current(), { code: 'SecretUnreadable', message });
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  chmodSync(file, 0o600);
  await assert.rejects(store.current(), { code: 'PrivateKeyInvalid' });
});
