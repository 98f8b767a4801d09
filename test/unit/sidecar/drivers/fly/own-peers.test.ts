// What the requests for peers show of the token in the Secret, and which peers are taken for leftovers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Code, TunnelError } from '../../../../../src/contract/errors.ts';
import { onAbort } from '../../../../../src/process/abort.ts';
import { silentLog } from '../../../../../src/process/log.ts';
import { CredentialsRecord } from '../../../../../src/sidecar/base/credentials-record.ts';
import { walkerOf } from '../../../../../src/sidecar/base/walker.ts';
import type { FlyApi } from '../../../../../src/sidecar/drivers/fly/api/operations.ts';
import { tokenCodes } from '../../../../../src/sidecar/drivers/fly/driver.ts';
import { OwnPeers } from '../../../../../src/sidecar/drivers/fly/own-peers.ts';
import { FakeClock, settle } from '../../../../support/fake-clock.ts';

const { signal } = new AbortController();
const gatewayKey = 'A'.repeat(43).concat('=');

/** Peers of an API that refuses these operations, and what is known of the token. */
function setting() {
  const refuses = new Map<keyof FlyApi, Code>();
  /** Of all peers of the organization, and those that were removed. */
  const names: string[] = [];
  const removed: string[] = [];
  /** Makes each peer, but answers nobody. */
  const silent = { on: false };
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
        const { promise, reject } = Promise.withResolvers<never>();
        using _ = onAbort(givenUp, reject);
        await promise;
      }
      return await made();
    },
    isValid: answer('isValid', true),
    peerNames: async () => names,
    removePeer: async (_organization, name) => void removed.push(name),
    close: async () => undefined,
  };
  const record = new CredentialsRecord(tokenCodes, silentLog());
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
    clock: new FakeClock(),
    log: silentLog(),
  });
  const refused = (): string[] => [...record.verdict.refused.values()].map(({ code }) => code);
  return { refuses, peers, record, refused, names, removed, silent };
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
  const own = 'portforward-shop-orders-db-';
  names.push(`${own}uid-a`, `${own}uid-walk-0a1b2c-a`, `${own}${walkerOf('uid')}-a`, `${own}uid2-a`);
  await peers.adopt(await peers.current(signal), undefined);
  await peers.close();
  assert.deepEqual(removed.slice(0, 2).toSorted(), [`${own}uid-a`, `${own}uid-walk-0a1b2c-a`]);
  assert.ok(!removed.includes(`${own}${walkerOf('uid')}-a`));
  assert.ok(!removed.includes(`${own}uid2-a`));
});

test('a peer whose request was given up is removed at once, and again at the end if it was made late', async () => {
  const { peers, names, removed, silent } = setting();
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
  await peers.close();
  assert.equal(removed.filter((name) => name === late).length, 2);
});

test('a peer whose request got no answer is removed, also if there never was another', async () => {
  const { refuses, peers, names, removed } = setting();
  refuses.set('addPeer', 'FlyApiFailed');
  await assert.rejects(peers.current(signal));
  names.push('portforward-shop-orders-db-uid-made');
  await peers.close();
  assert.deepEqual(removed, ['portforward-shop-orders-db-uid-made']);
});

test('a peer that is being made is no leftover', async () => {
  const { peers, names, removed, silent } = setting();
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
  await peers.close();
});
