// What the requests for peers show of the token in the Secret, which peers are taken for leftovers, and that each is removed in the end.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Code, TunnelError } from '../../../../../src/contract/errors.ts';
import { aborted, onAbort } from '../../../../../src/process/abort.ts';
import { createLog } from '../../../../../src/process/log.ts';
import { CredentialsRecord } from '../../../../../src/sidecar/base/credentials-record.ts';
import { walkBegins, walkerOf } from '../../../../../src/sidecar/base/walker.ts';
import type { FlyApi } from '../../../../../src/sidecar/drivers/fly/api/operations.ts';
import { tokenCodes } from '../../../../../src/sidecar/drivers/fly/driver.ts';
import { OwnPeers } from '../../../../../src/sidecar/drivers/fly/own-peers.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

const { signal } = new AbortController();
/** A pod is given 10 s after its drain, and may need 2 s of them for its sessions. */
const closeMs = 8_000;
const gatewayKey = 'A'.repeat(43).concat('=');

/** Peers of an API that refuses these operations, and what is known of the token. */
function setting() {
  const refuses = new Map<keyof FlyApi, Code>();
  /** Of all peers of the organization, and those that were removed. */
  const names: string[] = [];
  const removed: string[] = [];
  /** Those that were asked to be removed. */
  const asked: string[] = [];
  /** Makes each peer, but answers nobody. */
  const silent = { on: false };
  /** Answers the request for a peer that nobody waits for any more. */
  const late: (() => void)[] = [];
  const validity: { on: boolean; whenAsked: (signal: AbortSignal) => Promise<void> } = {
    on: true,
    whenAsked: async () => undefined,
  };
  const said: string[] = [];
  const clock = new FakeClock();
  const log = createLog({ destination: { write: (line) => void said.push(line) } });
  const answer = <T>(operation: keyof FlyApi, value: T) => {
    return async (): Promise<T> => {
      const code = refuses.get(operation);
      if (code !== undefined) throw new TunnelError(code, `${operation} is refused`);
      return value;
    };
  };
  const made = answer('addPeer', { address: 'fdaa:0:18:a7b:35c:0:1:102', endpoint: 'gateway.test', gatewayKey });
  const api: FlyApi = {
    networkOfApp: answer('networkOfApp', { organizationId: 'id-1', organization: 'shop-inc', network: '' }),
    organization: answer('organization', { organizationId: 'id-1', organization: 'shop-inc', network: '' }),
    nearestRegion: answer('nearestRegion', 'fra'),
    addPeer: async ({ name }, { signal: givenUp }) => {
      if (silent.on) {
        names.push(name);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        late.push(resolve);
        using _ = onAbort(givenUp, reject);
        await promise;
      }
      return await made();
    },
    isValid: async (_address, options) => {
      await validity.whenAsked(options.signal);
      return (await answer('isValid', true)()) && validity.on;
    },
    peerNames: async () => await answer('peerNames', names)(),
    removePeer: async (_organization, name) => {
      asked.push(name);
      await answer('removePeer', undefined)();
      removed.push(name);
      if (names.includes(name)) names.splice(names.indexOf(name), 1);
    },
    close: async () => undefined,
  };
  const record = new CredentialsRecord(tokenCodes, log);
  const peers = new OwnPeers({
    api,
    config: {
      app: 'orders-db',
      network: '',
      region: '',
      transport: 'Auto',
      directory: '',
      credentials: { secretName: 'fly', directory: '' },
    },
    owner: { namespace: 'shop', name: 'orders-db', podUid: 'uid' },
    record,
    clock,
    log,
  });
  /** Closes; what takes its time has it. */
  const close = async (): Promise<number> => {
    const begun = clock.now();
    let ended = Number.POSITIVE_INFINITY;
    const closed = peers.close().then(() => (ended = clock.now()));
    await clock.advance(closeMs);
    await closed;
    assert.equal(clock.pending, 0, 'no timer is left');
    return ended - begun;
  };
  const refused = (): string[] => [...record.verdict.refused.values()].map(({ code }) => code);
  return { refuses, peers, record, refused, names, removed, asked, silent, late, validity, clock, said, close };
}

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
  assert.equal(names.length, 1);
  const took = await close();
  cancel();
  assert.deepEqual(names, []);
  assert.equal(removed.length, 1);
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
