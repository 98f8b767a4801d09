// How often the network's name server is asked, and what is used when it does not answer.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Addresses } from '../../../../../src/sidecar/drivers/fly/addresses.ts';
import { HelperError } from '../../../../../src/sidecar/drivers/fly/helper/helper-error.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const host = 'orders-db.internal';
const { signal } = new AbortController();

let clock: FakeClock;
let asked: number;
let answer: () => Promise<readonly string[]>;
let addresses: Addresses;

beforeEach(() => {
  clock = new FakeClock();
  asked = 0;
  answer = async () => ['fdaa::1'];
  addresses = new Addresses(async () => {
    asked += 1;
    return await answer();
  }, clock);
});

const fails = (kind: string) => async (): Promise<never> => {
  throw new HelperError(kind, 'no');
};

test('a burst of connections asks once, and later ones ask again', async () => {
  await Promise.all(Array.from({ length: 100 }, async () => await addresses.of(host, signal)));
  assert.equal(asked, 1);
  await clock.advance(1_000);
  await addresses.of(host, signal);
  assert.equal(asked, 1);
  await clock.advance(1_500);
  answer = async () => ['fdaa::2'];
  assert.deepEqual(await addresses.of(host, signal), ['fdaa::2']);
  assert.equal(asked, 2);
});

test('a question that is lost three times is answered by what was known in the last minute', async () => {
  await addresses.of(host, signal);
  answer = fails('timeout');
  await clock.advance(50_000);
  assert.deepEqual(await addresses.of(host, signal), ['fdaa::1']);
  assert.equal(asked, 4);
  await clock.advance(20_000);
  await assert.rejects(addresses.of(host, signal), { kind: 'timeout' });
});

test('a name without addresses is one, whatever was known before', async () => {
  await addresses.of(host, signal);
  await clock.advance(5_000);
  answer = fails('notFound');
  await assert.rejects(addresses.of(host, signal), { kind: 'notFound' });
  assert.equal(asked, 2);
  await assert.rejects(addresses.of(host, signal), { kind: 'notFound' });
  assert.equal(asked, 3);
});

test('addresses that could not be dialled are asked for anew, and an address is never asked for', async () => {
  await addresses.of(host, signal);
  addresses.forget(host);
  await addresses.of(host, signal);
  assert.equal(asked, 2);
  assert.deepEqual(await addresses.of('fdaa::7', signal), ['fdaa::7']);
  assert.equal(asked, 2);
});
