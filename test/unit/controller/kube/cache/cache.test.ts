import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareResourceVersion,
  type KubeObject,
  keyOf,
  nameOf,
} from '../../../../../src/controller/kube/base/object.ts';
import { ReadYourWrites } from '../../../../../src/controller/kube/cache/read-your-writes.ts';
import { type Change, Replica } from '../../../../../src/controller/kube/cache/replica.ts';
import { Store } from '../../../../../src/controller/kube/cache/store.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const object = (
  name: string,
  resourceVersion: string,
  uid = `uid-${name}`,
  labels: Record<string, string> = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { namespace: 'ns', name, uid, resourceVersion, labels },
});

test('a key is the namespace and the name, and back', () => {
  assert.equal(keyOf({ namespace: 'ns', name: 'a' }), 'ns/a');
  assert.deepEqual(nameOf('ns/a'), { namespace: 'ns', name: 'a' });
  assert.deepEqual(nameOf(keyOf({ name: 'a' })), { name: 'a' });
});

test('resource versions are ordered as the numbers they are, however long', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.bigInt({ min: 0n, max: 10n ** 30n }), (a, b) => {
      assert.equal(Math.sign(compareResourceVersion(String(a), String(b))), a < b ? -1 : a > b ? 1 : 0);
    }),
  );
});

/** A full read. */
function read(objects: ReadonlyMap<string, KubeObject>): Store<KubeObject> {
  const store = new Store<KubeObject>();
  for (const [key, each] of objects) store.set(key, each);
  return store;
}

for (const packed of [false, true])
  test(`an index of a ${packed ? 'packed' : 'plain'} store finds objects by value, also those put in before it, and follows every change`, () => {
    const store = new Store<KubeObject>({ packed });
    store.set('ns/a', object('a', '1', 'u', { team: 'x' }));
    store.addIndex('team', ({ metadata }) =>
      metadata.labels?.['team'] === undefined ? [] : [metadata.labels['team']],
    );
    store.set('ns/b', object('b', '1', 'u', { team: 'x' }));
    const names = (value: string): string[] => store.byIndex('team', value).map(({ metadata }) => metadata.name);
    assert.deepEqual(names('x'), ['a', 'b']);
    store.set('ns/a', object('a', '2', 'u', { team: 'y' }));
    assert.deepEqual([names('x'), names('y')], [['b'], ['a']]);
    store.delete('ns/b');
    assert.deepEqual([names('x'), store.size], [[], 1]);
    assert.throws(() => store.byIndex('nothing', 'x'), TypeError);
    assert.throws(() => store.addIndex('team', () => []), TypeError);
  });

function replicaOf(namespace?: string): {
  store: Store<KubeObject>;
  replica: Replica<KubeObject>;
  told: () => string[];
} {
  const store = new Store<KubeObject>();
  const replica = new Replica(store, namespace);
  let changes: Change<KubeObject>[] = [];
  replica.listeners.push((change) => changes.push(change));
  const told = (): string[] => {
    const lines = changes.map(
      ({ type, key, object: { metadata }, initial }) =>
        `${type} ${key} ${metadata.uid}@${metadata.resourceVersion}${initial ? ' initial' : ''}`,
    );
    changes = [];
    return lines;
  };
  return { store, replica, told };
}

test('a second full read tells only what differs, with deletes for what vanished', () => {
  const { replica, told } = replicaOf();
  replica.replace(
    read(
      new Map([
        ['ns/a', object('a', '1')],
        ['ns/b', object('b', '2')],
        ['ns/c', object('c', '3')],
      ]),
    ),
  );
  assert.deepEqual(told(), ['added ns/a uid-a@1 initial', 'added ns/b uid-b@2 initial', 'added ns/c uid-c@3 initial']);
  replica.replace(
    read(
      new Map([
        ['ns/a', object('a', '1')],
        ['ns/c', object('c', '9')],
        ['ns/d', object('d', '10')],
      ]),
    ),
  );
  assert.deepEqual(told(), ['deleted ns/b uid-b@2', 'updated ns/c uid-c@9', 'added ns/d uid-d@10']);
});

test('another uid under the same name is the end of one object and the start of another', () => {
  const { replica, told } = replicaOf();
  replica.replace(read(new Map([['ns/a', object('a', '1', 'old')]])));
  told();
  replica.set('ns/a', object('a', '5', 'new'));
  assert.deepEqual(told(), ['deleted ns/a old@1', 'added ns/a new@5']);
  replica.delete('ns/a', object('a', '6', 'new'));
  assert.deepEqual(told(), ['deleted ns/a new@6']);
  replica.delete('ns/a', object('a', '6', 'new'));
  assert.deepEqual(told(), []);
});

test('a replica of one namespace leaves the rest of a shared store alone', () => {
  const { store, replica, told } = replicaOf('ns');
  store.set('other/x', { ...object('x', '1'), metadata: { ...object('x', '1').metadata, namespace: 'other' } });
  replica.replace(read(new Map([['ns/a', object('a', '1')]])));
  replica.replace(read(new Map()));
  assert.deepEqual(told(), ['added ns/a uid-a@1 initial', 'deleted ns/a uid-a@1']);
  assert.deepEqual([...store.keys()], ['other/x']);
});

test('after any series of reads and events the store holds exactly what was last said', () => {
  const keys = ['ns/a', 'ns/b', 'ns/c'];
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), key: fc.constantFrom(...keys), uid: fc.constantFrom('u1', 'u2') }),
    fc.record({ kind: fc.constant('delete' as const), key: fc.constantFrom(...keys) }),
    fc.record({ kind: fc.constant('replace' as const), keys: fc.uniqueArray(fc.constantFrom(...keys)) }),
  );
  fc.assert(
    fc.property(fc.array(step), fc.boolean(), (steps, packed) => {
      const store = new Store<KubeObject>({ packed });
      const replica = new Replica(store, undefined);
      const mirror = new Map<string, KubeObject>();
      replica.listeners.push(({ type, key, object: now, previous }) => {
        // Listeners that only follow changes must end up with the same picture.
        assert.equal(type === 'added', !mirror.has(key));
        if (type === 'updated') assert.equal(previous?.metadata.uid, now.metadata.uid);
        if (type === 'deleted') mirror.delete(key);
        else mirror.set(key, now);
      });
      const truth = new Map<string, KubeObject>();
      let version = 0;
      for (const action of steps) {
        if (action.kind === 'set') {
          const now = object(nameOf(action.key).name, String(++version), action.uid);
          truth.set(action.key, now);
          replica.set(action.key, now);
        } else if (action.kind === 'delete') {
          const last = truth.get(action.key);
          truth.delete(action.key);
          replica.delete(action.key, last ?? object('x', '0'));
        } else {
          for (const key of truth.keys()) if (!action.keys.includes(key)) truth.delete(key);
          for (const key of action.keys) truth.set(key, truth.get(key) ?? object(nameOf(key).name, String(++version)));
          replica.replace(read(new Map(truth)));
        }
      }
      assert.deepEqual(new Map([...store.keys()].map((key) => [key, store.get(key)])), truth);
      assert.deepEqual(mirror, truth);
    }),
  );
});

test('a packed store holds texts: what is read is equal, new after each change, and gone after a delete', () => {
  const store = new Store<KubeObject>({ packed: true });
  const put = object('a', '1', 'u', { team: 'é' });
  store.set('ns/a', put);
  assert.deepEqual([store.get('ns/a'), [...store.values()]], [put, [put]]);
  assert.notEqual(store.get('ns/a'), put);
  store.set('ns/b', object('b', '1'));
  assert.equal(store.get('ns/a')?.metadata.name, 'a');
  store.set('ns/a', object('a', '2'));
  assert.equal(store.get('ns/a')?.metadata.resourceVersion, '2');
  store.delete('ns/a');
  assert.deepEqual([store.get('ns/a'), store.has('ns/a'), store.has('ns/b')], [undefined, false, true]);
});

for (const packed of [false, true])
  test(`a written object is read back at once, until the cache has caught up or a minute has passed, ${packed ? 'packed' : 'plain'}`, async () => {
    const clock = new FakeClock();
    const store = new Store<KubeObject>({ packed });
    const latest = new ReadYourWrites(store, clock);
    store.set('ns/a', object('a', '9'));
    latest.record(object('a', '10'));
    assert.equal(latest.get('ns/a')?.metadata.resourceVersion, '10');
    store.set('ns/a', object('a', '11'));
    assert.equal(latest.get('ns/a')?.metadata.resourceVersion, '11');

    latest.record(object('gone', '12'));
    assert.equal(latest.get('ns/gone')?.metadata.resourceVersion, '12');
    await clock.advance(60_001);
    assert.equal(latest.get('ns/gone'), undefined);

    store.set('ns/c', object('c', '14'));
    latest.record(object('c', '15'));
    store.set('ns/c', object('c', '14', 'uid-c', { seen: 'late' }));
    assert.equal(latest.get('ns/c')?.metadata.resourceVersion, '15', 'an update is no end');
    store.delete('ns/c');
    assert.equal(latest.get('ns/c'), undefined, 'what somebody deleted is gone for us too');

    latest.record(object('b', '13'));
    latest.forget('ns/b');
    assert.equal(latest.get('ns/b'), undefined);
  });

test('a write is held packed where the cache is', () => {
  const latest = new ReadYourWrites(new Store<KubeObject>({ packed: true }));
  const written = object('a', '1');
  latest.record(written);
  assert.deepEqual(latest.get('ns/a'), written);
  assert.notEqual(latest.get('ns/a'), written);
});

test('the answer to a write that comes after the news of the deletion brings nothing back', async () => {
  const clock = new FakeClock();
  const store = new Store<KubeObject>();
  const latest = new ReadYourWrites(store, clock);
  store.set('ns/a', object('a', '9', 'old'));
  store.delete('ns/a');
  latest.record(object('a', '8', 'old'));
  assert.equal(latest.get('ns/a'), undefined);
  latest.record(object('a', '10', 'new'));
  assert.equal(latest.get('ns/a')?.metadata.uid, 'new', 'another one of that name is none of it');
});
