// Which peers are taken for leftovers, and that each peer of a pod is removed in the end. Neighbours: peers-setting.ts, own-peers.test.ts.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { walkBegins, walkerOf } from '../../../../../src/sidecar/base/walker.ts';
import { settle } from '../../../../support/fake-clock.ts';
import { setting } from './peers-setting.ts';

const { signal } = new AbortController();

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-removals-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('what earlier processes of the pod and their walks left is removed; a walk of this one and other pods are left alone', async () => {
  const { peers, names, removed } = setting();
  using _ = walkBegins();
  const own = 'portforward-shop-orders-db-';
  names.push(`${own}uid-a`, `${own}uid-walk-0a1b2c-a`, `${own}${walkerOf('uid')}-a`, `${own}uid2-a`);
  await peers.adopt(await peers.current(signal), undefined);
  await settle();
  await peers.close();
  assert.deepEqual(removed.slice(0, 2).toSorted(), [`${own}uid-a`, `${own}uid-walk-0a1b2c-a`]);
  assert.ok(!removed.includes(`${own}${walkerOf('uid')}-a`));
  assert.ok(!removed.includes(`${own}uid2-a`));
});

test('a peer whose request was given up is removed at once, and again at the end if it was made late', async () => {
  const { peers, names, removed, silent, close } = setting();
  await peers.adopt(await peers.current(signal), undefined);
  silent.on = true;
  const giveUp = new AbortController();
  const another = peers.another(giveUp.signal);
  await settle();
  const [late = ''] = names;
  giveUp.abort(new Error('the gateway answers again'));
  await assert.rejects(another, /answers again/);
  await settle();
  assert.deepEqual(removed, [late]);
  names.push(late);
  await close();
  assert.equal(removed.filter((name) => name === late).length, 2);
});

test('a peer whose request got no answer is removed, also if there never was another', async () => {
  const { refuses, peers, names, removed, close } = setting();
  refuses.set('addPeer', 'FlyApiFailed');
  await assert.rejects(peers.current(signal));
  names.push('portforward-shop-orders-db-uid-made');
  await close();
  assert.equal(removed[0], 'portforward-shop-orders-db-uid-made');
});

test('a peer that is being made is no leftover', async () => {
  const { peers, names, removed, silent, close } = setting();
  const first = await peers.current(signal);
  silent.on = true;
  const giveUp = new AbortController();
  const another = peers.another(giveUp.signal);
  await settle();
  await peers.adopt(first, undefined);
  await settle();
  assert.equal(names.length, 1);
  assert.deepEqual(removed, []);
  giveUp.abort(new Error('enough'));
  await assert.rejects(another);
  await close();
});

test('a removal that failed is tried again until it is done, while the pod lives', async () => {
  const { refuses, peers, removed, clock, close } = setting();
  await peers.adopt(await peers.current(signal), undefined);
  const another = await peers.another(signal);
  refuses.set('removePeer', 'FlyApiFailed');
  peers.discard(another);
  await clock.advance(10 * 60_000);
  assert.deepEqual(removed, []);
  refuses.clear();
  await clock.advance(2 * 60_000);
  assert.deepEqual(removed, [another.name]);
  await close();
});

test('a list that could not be read is read again', async () => {
  const { refuses, peers, names, removed, clock, close } = setting();
  names.push('portforward-shop-orders-db-uid-a');
  refuses.set('peerNames', 'FlyApiFailed');
  await peers.adopt(await peers.current(signal), undefined);
  await clock.advance(1_000);
  refuses.clear();
  await clock.advance(5_000);
  assert.deepEqual(removed, ['portforward-shop-orders-db-uid-a']);
  await close();
});

test('at the end a removal that fails is tried again while there is time; then the log names what is left', async () => {
  const outage = setting();
  const peer = await outage.peers.current(signal);
  outage.refuses.set('removePeer', 'FlyApiFailed');
  const ended = outage.peers.close();
  await outage.clock.advance(3_000);
  assert.deepEqual(outage.removed, []);
  outage.refuses.clear();
  await outage.clock.advance(2_000);
  assert.deepEqual(outage.removed, [peer.name]);
  await ended;

  const { refuses, peers, asked, said, close } = setting();
  const left = await peers.current(signal);
  refuses.set('removePeer', 'FlyApiFailed');
  assert.equal(await close(), 7_000);
  assert.ok(asked.length > 3);
  assert.ok(said.some((line) => line.includes(left.name) && line.includes('are left at fly.io')));
});

test('a pod that ends while a peer is being made waits for the answer, and removes it', async () => {
  const { peers, removed, silent, names, late, clock, close } = setting();
  silent.on = true;
  const end = new AbortController();
  const current = peers.current(end.signal);
  await settle();
  end.abort(new Error('the tunnel was closed'));
  await assert.rejects(current, /was closed/);
  const cancel = clock.after(3_000, () => late[0]?.());
  const [made] = names;
  const took = await close();
  cancel();
  assert.deepEqual(names, []);
  // Twice if a look at the list found it before the answer came.
  assert.deepEqual([...new Set(removed)], [made]);
  assert.ok(took >= 3_000 && took < 5_000, `${took} ms`);
});

test('a token that may not remove is asked for no other removal until there is another token', async () => {
  const { refuses, peers, record, asked, removed, clock, close } = setting();
  await peers.adopt(await peers.current(signal), undefined);
  const another = await peers.another(signal);
  refuses.set('removePeer', 'TokenRefused');
  peers.discard(another);
  await clock.advance(60 * 60_000);
  assert.deepEqual(asked, [another.name]);
  refuses.clear();
  record.forget(() => peers.credentialsChanged());
  await clock.advance(5_000);
  assert.deepEqual(removed, [another.name]);
  refuses.set('removePeer', 'TokenExpired');
  assert.ok((await close()) < 1_000, 'waiting helps nobody');
});

test('a peer that was replaced because it is not valid is removed, too', async () => {
  const { peers, removed, validity, close } = setting();
  const first = await peers.current(signal);
  validity.on = false;
  const next = await peers.valid(signal);
  await settle();
  assert.deepEqual(removed, [first.name]);
  await close();
  assert.deepEqual(removed, [first.name, next.name]);
});

test('a pod that was never connected removes what its earlier process left', async () => {
  const { peers, names, removed, close } = setting();
  names.push('portforward-shop-orders-db-uid-a');
  const { name } = await peers.current(signal);
  await close();
  assert.deepEqual(removed.toSorted(), [name, 'portforward-shop-orders-db-uid-a'].toSorted());
});

test('what a walk of this process could not remove is removed at the end', async () => {
  const { peers, names, removed, close } = setting();
  names.push(`portforward-shop-orders-db-${walkerOf('uid')}-a`);
  const walk = walkBegins();
  await peers.adopt(await peers.current(signal), undefined);
  await settle();
  assert.deepEqual(removed, []);
  walk[Symbol.dispose]();
  await close();
  assert.deepEqual(names, []);
});

test('a pod that nobody used since its container restarted removes the peer that it kept', async (t) => {
  const directory = folder(t);
  const killed = setting({ directory });
  const { name } = await killed.peers.current(signal);
  const restarted = setting({ directory });
  restarted.names.push(name);
  await restarted.peers.close();
  assert.deepEqual(restarted.names, []);
  assert.ok(!existsSync(join(directory, 'peer.json')));
});

test('an end whose file cannot be deleted is an end, and the log says it', async (t) => {
  const directory = folder(t);
  const { peers, removed, said } = setting({ directory });
  const { name } = await peers.current(signal);
  rmSync(join(directory, 'peer.json'));
  mkdirSync(join(directory, 'peer.json'));
  await peers.close();
  assert.deepEqual(removed, [name]);
  assert.ok(said.some((line) => line.includes('could not be deleted')));
});

test('a token that may not read the list removes what is known, again and again', async () => {
  const { refuses, peers, asked, removed, clock, close } = setting();
  refuses.set('peerNames', 'TokenRefused');
  await peers.adopt(await peers.current(signal), undefined);
  const another = await peers.another(signal);
  await settle();
  refuses.set('removePeer', 'FlyApiFailed');
  peers.discard(another);
  await clock.advance(10_000);
  assert.ok(asked.length > 1);
  refuses.delete('removePeer');
  await clock.advance(30_000);
  assert.deepEqual(removed, [another.name]);
  await close();
});

test('at the end a refused list does not end the removals that failed', async () => {
  const { refuses, peers, removed, removal, close } = setting();
  const peer = await peers.current(signal);
  refuses.set('peerNames', 'TokenRefused');
  refuses.set('removePeer', 'FlyApiFailed');
  let tries = 0;
  removal.whenAsked = async () => {
    tries += 1;
    if (tries > 1) refuses.delete('removePeer');
  };
  const took = await close();
  assert.deepEqual(removed, [peer.name]);
  assert.ok(took < 2_000, 'the refused list is not waited for');
});

test('a token of another organization is not asked again and again, and does not delay the end', async () => {
  const { refuses, peers, asked, clock, close } = setting();
  refuses.set('peerNames', 'OrganizationNotFound');
  await peers.adopt(await peers.current(signal), undefined);
  const another = await peers.another(signal);
  refuses.set('removePeer', 'OrganizationNotFound');
  peers.discard(another);
  await clock.advance(60 * 60_000);
  assert.deepEqual(asked, [another.name]);
  assert.ok((await close()) < 1_000);
});

test('another token is tried within 5 s, however long the pause is, also if only the list was refused', async () => {
  const outage = setting();
  await outage.peers.adopt(await outage.peers.current(signal), undefined);
  const another = await outage.peers.another(signal);
  outage.refuses.set('removePeer', 'FlyApiFailed');
  outage.peers.discard(another);
  await outage.clock.advance(10 * 60_000);
  // Just after a try: the next one comes in a minute at the earliest.
  const tries = outage.asked.length;
  for (let i = 0; i < 200 && outage.asked.length === tries; i++) await outage.clock.advance(1_000);
  outage.refuses.clear();
  outage.peers.credentialsChanged();
  await outage.clock.advance(5_000);
  assert.deepEqual(outage.removed, [another.name]);
  await outage.close();

  const { refuses, peers, names, removed, clock, close } = setting();
  names.push('portforward-shop-orders-db-uid-a');
  refuses.set('peerNames', 'TokenRefused');
  await peers.adopt(await peers.current(signal), undefined);
  await clock.advance(60 * 60_000);
  refuses.clear();
  peers.credentialsChanged();
  await clock.advance(5_000);
  assert.deepEqual(removed, ['portforward-shop-orders-db-uid-a']);
  await close();
});

test('at most eight requests are under way, and at most a thousand peers are owed; the others are found on the list again', async () => {
  const { peers, names, removed, removal, clock, close } = setting();
  const leftovers = Array.from({ length: 1_500 }, (_, index) => `portforward-shop-orders-db-uid-${index}`);
  names.push(...leftovers);
  const underWay = { now: 0, most: 0 };
  removal.whenAsked = async () => {
    underWay.now += 1;
    underWay.most = Math.max(underWay.most, underWay.now);
    await settle();
    underWay.now -= 1;
  };
  await peers.adopt(await peers.current(signal), undefined);
  const first = clock.now();
  for (let i = 0; i < 1_000 && removed.length < 1_000; i++) await settle();
  assert.equal(clock.now(), first);
  await settle();
  assert.equal(removed.length, 1_000);
  // The look at the list may be one of them.
  assert.ok(underWay.most >= 7 && underWay.most <= 8, `${underWay.most} at a time`);
  const listed = clock.advance(5_000);
  for (let i = 0; i < 1_000 && removed.length < 1_500; i++) await settle();
  await listed;
  assert.deepEqual(removed.toSorted(), leftovers.toSorted());
  await close();
});

test('the log names a peer of a request without an answer if no list showed whether it was made', async () => {
  const { refuses, peers, said, names, silent, clock, close } = setting();
  await peers.adopt(await peers.current(signal), undefined);
  silent.on = true;
  const giveUp = new AbortController();
  const another = peers.another(giveUp.signal);
  await settle();
  const [lost = ''] = names;
  refuses.set('peerNames', 'TokenRefused');
  giveUp.abort(new Error('enough'));
  await assert.rejects(another);
  await clock.advance(10_000);
  await close();
  assert.ok(said.some((line) => line.includes(lost) && line.includes('may be left at fly.io')));
});
