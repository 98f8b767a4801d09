import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { type CredentialSet, CredentialStore } from '../../../../../src/sidecar/drivers/ssh/login/credentials.ts';
import { parseKnownHosts } from '../../../../../src/sidecar/drivers/ssh/login/known-hosts.ts';
import { LoginPace } from '../../../../../src/sidecar/drivers/ssh/login-pace.ts';

const refusal = new TunnelError('AuthenticationFailed', 'bastion a:22 does not accept user tunnel');
const isRefused = { code: 'LoginRefused', message: /accepted them before/ };

test('a hop that refuses what it accepted before is asked again after 8 s, then every 15 s, for two minutes', () => {
  let now = 0;
  const pace = new LoginPace(() => now);
  const attempts: number[] = [];
  let last: TunnelError | undefined;
  for (; now < 200_000; now += 100) {
    try {
      pace.begin('a');
    } catch (error) {
      assert.equal((error as TunnelError).code, 'LoginRefused');
      continue;
    }
    attempts.push(now);
    last = pace.refused('a', refusal);
    if (!(last.code === 'LoginRefused')) break;
  }
  assert.equal(last, refusal);
  const pauses = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
  assert.deepEqual([pauses[0], ...new Set(pauses.slice(1))], [7_500, 14_500]);
  assert.ok(now >= 120_000 && now < 140_000, `${now}`);
  now += 60_000;
  pace.begin('a');
  assert.equal(pace.refused('a', refusal), refusal, 'it stays permanent until a login succeeds');
  pace.forget('a');
  pace.begin('a');
  assert.equal(pace.refused('a', refusal).code, 'LoginRefused');
});

test('one attempt for each hop at a time, and other hops are not held back', () => {
  let now = 0;
  const pace = new LoginPace(() => now);
  pace.refused('a', refusal);
  assert.throws(() => pace.begin('a'), isRefused);
  pace.begin('b');
  now = 8_000;
  pace.begin('a');
  assert.throws(() => pace.begin('a'), isRefused);
  pace.ended('a');
  pace.begin('a');
});

test('of two attempts under way at once, the refusal of one holds the other back before it shows its credentials', () => {
  const set: CredentialSet = { secretName: 'bastion', digest: 'x', knownHosts: parseKnownHosts('') };
  const store = new CredentialStore({ secretName: 'bastion', directory: '/nowhere' });
  store.accept('a', set);
  const pace = new LoginPace(() => 0);
  const [first, second] = [pace.of('a', set, store), pace.of('a', set, store)];
  first.begin();
  second.begin();
  first.check();
  assert.equal((first.failed(refusal) as TunnelError).code, 'LoginRefused');
  assert.throws(() => second.check(), isRefused);
});
