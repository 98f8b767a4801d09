import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { systemClock } from '../../../../../src/process/clock.ts';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import { DataChannel, type DataChannelOptions } from '../../../../../src/sidecar/drivers/ssm/data-channel.ts';
import { codeOf, echo, open, service } from './channel-world.ts';
import type { FakeService } from './fake-service.ts';
import { silentLog } from './silent-log.ts';

async function refusal(fake: FakeService, more: Partial<DataChannelOptions> = {}): Promise<string> {
  const outcome = await open(fake, more).then(
    () => 'open',
    (error: unknown) => codeOf(error),
  );
  assert.equal(fake.calls.at(-1), 'terminate', 'the started session was left behind');
  return outcome;
}

test('a channel whose session has ended at the service ends with its streams, after its signal', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  const stream = channel.multiplexer.open();
  let abortedBefore: boolean | undefined;
  stream.on('error', () => {
    abortedBefore = channel.signal.aborted;
  });
  fake.sessionGone = true;
  fake.agent.cut();
  await once(stream, 'error');
  assert.equal(abortedBefore, true);
  assert.equal(stream.readableEnded, false);
  assert.equal(codeOf(channel.signal.reason), 'BastionLost');
});

test('a resume that is denied ends the channel with its own reason; one that fails is tried again', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  fake.resumeError = new TunnelError('Throttled', 'slow down');
  const renewed = channel.renewSocket();
  while (fake.count('resume') < 2) await delay(20);
  fake.resumeError = undefined;
  await renewed;
  assert.ok((await echo(channel, Buffer.from('x'))).equals(Buffer.from('x')));
  fake.resumeError = new TunnelError('ResumeDenied', 'no');
  await assert.rejects(channel.renewSocket(), (error) => codeOf(error) === 'ResumeDenied');
  assert.equal(channel.signal.aborted, true);
});

test('the service’s message that the channel is closed ends it, and nothing is terminated twice', async () => {
  const fake = await service();
  const { channel } = await open(fake);
  fake.agent.closeChannel('\n----------ERROR-------\nForwarding to IP address 127.0.0.1 is forbidden');
  await once(channel.signal, 'abort');
  assert.equal(codeOf(channel.signal.reason), 'ForwardingProhibited');
  await channel.close();
  assert.deepEqual(fake.calls, ['start']);
});

test('a channel that ends at the moment of its proof is never taken for an open one', async () => {
  const fake = await service();
  fake.endsAfterNop = true;
  await assert.rejects(open(fake), (error) => codeOf(error) === 'BastionLost');
});

test('KMS, an old agent for another host, a shell session and an address that is not allowed are refused with their reasons', async () => {
  const kms = await service();
  kms.actions = [{ ActionType: 'KMSEncryption', ActionParameters: {} }];
  assert.equal(await refusal(kms), 'EncryptionDemanded');
  const old = await service();
  old.agentVersion = '3.1.1000.0';
  assert.equal(await refusal(old, { remoteHost: true }), 'AgentTooOld');
  const shell = await service();
  shell.actions = [];
  assert.equal(await refusal(shell), 'SessionRefused');
  const foreign = await service();
  assert.equal(await refusal(foreign, { policy: { region: 'eu-west-1', allowed: [] } }), 'EndpointNotAllowed');
  assert.equal(foreign.upgrades.length, 0);
});

test('an attempt that is aborted leaves no socket and no session behind', async () => {
  const fake = await service();
  fake.silent = true;
  const stop = new AbortController();
  const ticket = await fake.startSession();
  const opening = DataChannel.open(
    {
      api: fake,
      ticket,
      policy: { region: 'eu-west-1', allowed: [fake.origin.replace('ws:', 'http:')] },
      endpoint: '',
      clock: systemClock,
      log: silentLog,
      remoteHost: false,
      target: 'i-0abc',
      destination: 'db:5432',
      proxy: {},
      largePayloads: () => false,
      watchIdle: true,
      budget: new ByteBudget(),
      onChange: () => undefined,
    },
    stop.signal,
  );
  while (fake.upgrades.length === 0) await delay(5);
  stop.abort(new Error('not wanted'));
  await assert.rejects(opening, /not wanted/);
  assert.deepEqual(fake.calls, ['start', 'terminate']);
  while (fake.sockets > 0) await delay(5);
});
