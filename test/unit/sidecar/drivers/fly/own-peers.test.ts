// What the requests for peers show of the token in the Secret. Neighbours: peers-setting.ts, removals.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aborted } from '../../../../../src/process/abort.ts';
import { settle } from '../../../../support/fake-clock.ts';
import { setting } from './peers-setting.ts';

const { signal } = new AbortController();

test('a token that made a peer is current, one that is refused is not', async () => {
  const { refuses, peers, record, refused } = setting();
  assert.equal(record.verdict.isTried, false);
  refuses.set('networkOfApp', 'TokenRefused');
  await assert.rejects(peers.current(signal));
  assert.deepEqual(refused(), ['TokenRefused']);
  refuses.clear();
  await peers.current(signal);
  assert.deepEqual(record.verdict, { isTried: true, refused: new Map() });
});

test('a check of the peer that the token no longer allows shows that it has expired, and one that passes that it is valid again', async () => {
  const { refuses, peers, refused } = setting();
  const peer = await peers.current(signal);
  refuses.set('isValid', 'TokenExpired');
  assert.equal(await peers.isValid(peer), undefined);
  assert.deepEqual(refused(), ['TokenExpired']);
  refuses.set('isValid', 'FlyApiFailed');
  await peers.isValid(peer);
  assert.deepEqual(refused(), ['TokenExpired'], 'an API that is down shows nothing');
  refuses.clear();
  assert.equal(await peers.isValid(peer), true);
  assert.deepEqual(refused(), []);
});

test('a check does not excuse a token that may make no peer', async () => {
  const { refuses, peers, record, refused } = setting();
  const peer = await peers.current(signal);
  record.forget(() => peers.credentialsChanged());
  refuses.set('addPeer', 'TokenRefused');
  await assert.rejects(peers.another(signal));
  assert.equal(await peers.isValid(peer), true);
  assert.deepEqual(refused(), ['TokenRefused']);
});

test('an app that was never found says nothing of the token; one that an earlier token found does', async () => {
  const { refuses, peers, record, refused } = setting();
  refuses.set('networkOfApp', 'AppNotFound');
  await assert.rejects(peers.current(signal));
  assert.equal(record.verdict.isTried, false);
  refuses.clear();
  await peers.current(signal);
  record.forget(() => peers.credentialsChanged());
  refuses.set('networkOfApp', 'AppNotFound');
  await assert.rejects(peers.another(signal));
  assert.deepEqual(refused(), ['AppNotFound']);
});

test('an end does not wait for the check of a peer', async () => {
  const { peers, validity, close } = setting();
  await peers.current(signal);
  const end = new AbortController();
  validity.whenAsked = aborted;
  const checked = peers.valid(end.signal);
  await settle();
  end.abort(new Error('the tunnel was closed'));
  await checked;
  assert.ok((await close()) < 1_000);
});
