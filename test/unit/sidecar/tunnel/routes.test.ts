// Where the routes come from, and how the tunnel reports that none of them works.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import { noLogin, refused, world } from './memory-driver.ts';

test('routes that cannot be found are asked for again and told of', async () => {
  await using w = await world(['a:22']);
  let fail = true;
  const { driver } = w;
  driver.routes = async () => {
    if (fail) throw new TunnelError('BastionNameNotResolved', 'no instance has the tag Role=bastion');
    return [{ via: 'a:22' }];
  };
  w.tunnel.start();
  await w.clock.advance(20_000);
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionNameNotResolved');
  fail = false;
  await w.clock.advance(2_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('a query for routes that only a person can fix is made once a minute, and at once after new credentials', async () => {
  await using w = await world(['a:22']);
  const { driver } = w;
  let asked = 0;
  let allowed = false;
  driver.routes = async () => {
    asked += 1;
    if (!allowed) throw new TunnelError('AccessDenied', 'ssm:DescribeInstanceInformation is missing');
    return [{ via: 'a:22' }];
  };
  w.tunnel.start();
  await w.clock.advance(120_000);
  assert(asked >= 2 && asked <= 4, `asked ${asked} times in two minutes`);
  allowed = true;
  driver.changeCredentials();
  await w.clock.advance(1_000);
  assert.equal(w.tunnel.snapshot.state, 'Connected');
});

test('a replaced instance is found soon, although the old one is still named when the outage begins', async () => {
  await using w = await world(['i-old']);
  w.tunnel.start();
  await w.clock.advance(1_000);
  w.driver.lose('i-old', 'silent');
  await w.clock.advance(3_000);
  w.driver.vias.splice(0, 1, 'i-new');
  await w.clock.advance(6_000);
  assert.equal(w.tunnel.snapshot.via, 'i-new');
});

test('several failing bastions are reported in one sentence, with the code that time may fix', async () => {
  await using w = await world(['a:22', 'b:22']);
  w.driver.answers.set('a:22', noLogin('a:22'));
  w.driver.answers.set('b:22', refused('b:22'));
  w.tunnel.start();
  await w.clock.advance(1_000);
  assert.equal(w.tunnel.snapshot.error?.code, 'BastionRefused');
  assert.match(w.tunnel.snapshot.error.message, /a:22 does not accept the user; b:22 refuses/);
});

test('a bastion that waits for a person is no failure of the tunnel while another is still tried', async () => {
  const missing = new TunnelError('SecretNotFound', 'Secret a does not exist');
  for (const error of [noLogin('a:22'), missing]) {
    await using w = await world(['a:22', 'b:22']);
    w.driver.answers.set('a:22', error);
    w.driver.answers.set('b:22', { afterMs: 200, answersAtOnce: true });
    const states: string[] = [];
    w.tunnel.onChange(() => states.push(w.tunnel.snapshot.state));
    w.tunnel.start();
    await w.clock.advance(100);
    assert.equal(w.tunnel.snapshot.error, undefined);
    await w.clock.advance(200);
    assert.deepEqual([...new Set(states)], ['Connecting', 'Connected']);
  }
  await using w = await world(['a:22', 'b:22']);
  w.driver.answers.set('a:22', noLogin('a:22'));
  w.driver.answers.set('b:22', 'silent');
  w.tunnel.start();
  await w.clock.advance(13_000);
  assert.equal(w.tunnel.snapshot.state, 'Failed', 'and it is one once that has failed too');
  assert.match(w.tunnel.snapshot.error?.message ?? '', /a:22 does not accept the user; b:22 did not answer/);
});
