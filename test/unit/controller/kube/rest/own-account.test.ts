// Who we are, by our own token.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { accountOf, accountOfFile } from '../../../../../src/controller/kube/rest/own-account.ts';

const tokenOf = (claims: unknown): string =>
  ['{}', JSON.stringify(claims), 'signature'].map((part) => Buffer.from(part).toString('base64url')).join('.');

const bound = {
  iss: 'https://kubernetes.default.svc',
  'kubernetes.io': {
    namespace: 'ns',
    serviceaccount: { name: 'portforward', uid: 'one' },
    pod: { name: 'p', uid: 'two' },
  },
};
const account = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'portforward', uid: 'one' };

test('a bound token names its account', () => {
  assert.deepEqual(accountOf(tokenOf(bound)), account);
});

test('what is no bound token names nobody', () => {
  const legacy = {
    iss: 'kubernetes/serviceaccount',
    'kubernetes.io/serviceaccount/service-account.name': 'portforward',
  };
  const noUid = { 'kubernetes.io': { serviceaccount: { name: 'portforward', uid: '' } } };
  for (const text of ['', 'opaque', 'a.b.c', tokenOf(legacy), tokenOf(noUid), tokenOf(null)]) {
    assert.equal(accountOf(text), undefined, text);
  }
});

test('a file is read, one that is not there names nobody', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-account-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'token');
  assert.equal(accountOfFile(file), undefined);
  writeFileSync(file, `${tokenOf(bound)}\n`);
  assert.deepEqual(accountOfFile(file), account);
});
