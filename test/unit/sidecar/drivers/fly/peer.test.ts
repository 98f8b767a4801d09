// The pod's own peer: its name, and how it is kept over a restart of the container.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import {
  forgetPeer,
  keepPeer,
  keptPeer,
  type Peer,
  peerNames,
  viaOf,
} from '../../../../../src/sidecar/drivers/fly/peer.ts';

const peer: Peer = {
  name: 'portforward-shop-orders-db-uid-1-abcdef',
  organizationId: 'node-id',
  organization: 'shop-inc',
  network: '',
  privateKey: 'k'.repeat(43),
  address: 'fdaa:0:18:a7b::102',
  endpoint: 'fra1.gateway.6pn.dev',
  gatewayKey: 'g'.repeat(43),
  region: '',
  gatewayRegion: 'fra',
};
const own = 'portforward-shop-orders-db-uid-1-';

function folder(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'portforward-peer-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'memory');
}

suite('the name of a peer', () => {
  test('has letters, digits and dashes, tells pods apart, and is another each time', () => {
    const one = peerNames({ namespace: 'shop', name: 'orders.db', podUid: 'UID_1' });
    assert.match(one.next(), /^portforward-shop-orders-db-uid-1-[0-9a-f]{6}$/);
    assert.ok(one.next().startsWith(one.own));
    assert.notEqual(one.next(), one.next());
    assert.notEqual(one.own, peerNames({ namespace: 'shop', name: 'orders.db', podUid: 'UID_2' }).own);
  });

  test('is bounded, and ends in the whole UID', () => {
    const podUid = '0b6dfd2e-6f0a-4d0e-9b53-2f5b5c2a8a11';
    const name = peerNames({ namespace: 'n'.repeat(63), name: 'x'.repeat(63), podUid }).next();
    assert.ok(name.length <= 128, name);
    assert.match(name, new RegExp(`-${podUid}-[0-9a-f]{6}$`));
  });
});

suite('the kept peer', () => {
  test('is the same after a restart, readable by its owner alone, and gone when forgotten', async (t) => {
    const directory = folder(t);
    await keepPeer(directory, peer);
    assert.deepEqual(await keptPeer(directory, { own, region: '' }), peer);
    assert.deepEqual(readdirSync(directory), ['peer.json']);
    assert.equal(statSync(join(directory, 'peer.json')).mode & 0o777, 0o600);
    await forgetPeer(directory);
    assert.equal(await keptPeer(directory, { own, region: '' }), undefined);
  });

  test('of another pod, of another region, and a file that is cut off are not taken', async (t) => {
    const directory = folder(t);
    await keepPeer(directory, peer);
    assert.equal(await keptPeer(directory, { own: 'portforward-shop-orders-db-uid-2-', region: '' }), undefined);
    assert.equal(await keptPeer(directory, { own, region: 'arn' }), undefined);
    writeFileSync(join(directory, 'peer.json'), JSON.stringify(peer).slice(0, 100));
    assert.equal(await keptPeer(directory, { own, region: '' }), undefined);
  });

  test('without a folder nothing is kept', async () => {
    await keepPeer(undefined, peer);
    assert.equal(await keptPeer(undefined, { own, region: '' }), undefined);
  });
});

test('a route is the gateway, with its region where that is known', () => {
  assert.equal(viaOf(peer), 'fra1.gateway.6pn.dev (fra)');
  assert.equal(viaOf({ ...peer, gatewayRegion: '' }), 'fra1.gateway.6pn.dev');
});
