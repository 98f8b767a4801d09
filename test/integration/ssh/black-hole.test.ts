// A network that swallows every packet, between namespaces of this machine: the kernel's knowledge decides how soon a session is ended.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../lab/base/eventually.ts';
import { type PrivateNetwork, startPrivateNetwork } from '../../../lab/private-network/network.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import type { SshConfig } from '../../../src/contract/tunnel-config.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { watchLoop } from '../../support/watch-loop.ts';
import { connectOnce, hopTo, SecretDirectory } from './ssh-world.ts';

describe('a bastion behind a black hole', () => {
  let network: PrivateNetwork;
  let secret: SecretDirectory;
  /** Ended newest first, also where a later start failed. */
  const started = new AsyncDisposableStack();
  after(async () => await started.disposeAsync());
  before(async () => {
    network = started.adopt(await startPrivateNetwork(), async (it) => await it.stop());
    const { a } = network.bastions;
    secret = started.use(
      new SecretDirectory({
        'ssh-privatekey': network.key.privateKey,
        known_hosts: a.knownHosts({ name: a.host }),
      }),
    );
  });
  const config = (more: Partial<SshConfig> = {}): SshConfig => sshConfig([hopTo(network.bastions.a, secret)], more);
  const database = () => ({ host: network.databaseName, port: 5432 });

  test('is suspect within two intervals and ended within 10 s, its streams broken off', async (t) => {
    const { a } = network.bastions;
    const session = await connectOnce(config({ serverAliveIntervalSeconds: 2 }));
    const stream = await session.dial(database(), { signal: AbortSignal.timeout(30_000) });
    const broken = once(stream, 'error');
    using loop = watchLoop();
    await a.blackHole();
    const began = performance.now();
    const suspected = new Promise<number>((resolve) =>
      session.onSuspectChange(() => resolve(performance.now() - began)),
    );
    const suspectAfter = await suspected;
    const [error] = await broken;
    const took = performance.now() - began;
    await a.heal();
    t.diagnostic(`suspect after ${suspectAfter.toFixed(0)} ms, ended after ${took.toFixed(0)} ms`);
    assert.ok(suspectAfter > 1900 && (suspectAfter < 10_000 || loop.overslept), `suspect after ${suspectAfter} ms`);
    assert.ok(took > 5900 && (took < 20_000 || loop.overslept), `ended after ${took} ms`);
    assert.ok(error instanceof TunnelError);
    assert.equal(error.code, 'BastionLost');
    assert.match(error.message, /no longer acknowledges/);
  });

  test('that heals after 3 s loses no connection', async () => {
    const { a } = network.bastions;
    const session = await connectOnce(config({ serverAliveIntervalSeconds: 2 }));
    const stream = await session.dial(database(), { signal: AbortSignal.timeout(30_000) });
    await a.blackHole();
    await sleep(3000);
    await a.heal();
    await sleep(7000);
    assert.equal(session.signal.aborted, false);
    await eventually('no longer suspect', () => !session.suspect);
    // SSLRequest: PostgreSQL answers with one letter.
    stream.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
    assert.match(String((await once(stream, 'data'))[0]), /^[SN]$/);
    await session.close();
  });

  test('is BastionTimeout for a new connection', async () => {
    const { a } = network.bastions;
    await a.blackHole();
    const attempt = connectOnce(config({ connectTimeoutSeconds: 1 }));
    await assert.rejects(attempt, {
      code: 'BastionTimeout',
      message: /does not answer within 1 s: let the tunnel’s address reach it$/,
    });
    await a.heal();
  });

  test('that only the jump host before it could reach is BastionTimeout, and the sentence names that jump host', async () => {
    const { a } = network.bastions;
    await network.silenceDatabase();
    const behind = { ...hopTo(a, secret), host: network.databaseName, port: 5432 };
    // Long enough for the login at the jump host, also on a busy machine.
    const attempt = connectOnce(sshConfig([behind], { jumpHosts: [hopTo(a, secret)], connectTimeoutSeconds: 5 }));
    await assert.rejects(attempt, {
      code: 'BastionTimeout',
      message: /orders\.db\.internal:5432 does not answer within 5 s: let the jump host before it reach it$/,
    });
    await network.healDatabase();
  });

  test('that refuses with resets is BastionRefused', async () => {
    const { a } = network.bastions;
    await a.refuse();
    await assert.rejects(connectOnce(config()), { code: 'BastionRefused' });
    await a.heal();
  });

  test('a destination that swallows packets is DestinationTimeout, and others are not delayed', async () => {
    const session = await connectOnce(config());
    await network.silenceDatabase();
    const silent = session.dial(database(), { signal: AbortSignal.timeout(1000) });
    await assert.rejects(silent, { code: 'DestinationTimeout', message: /orders\.db\.internal:5432/ });
    await network.healDatabase();
    const stream = await session.dial(database(), { signal: AbortSignal.timeout(30_000) });
    stream.destroy();
    await session.close();
  });
});
