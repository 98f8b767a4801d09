// What a session does over its life, against a real sshd: key re-exchange, silence, limits, memory, unix sockets, jump hosts.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../lab/base/eventually.ts';
import { type Sshd, type SshdOptions, startSshd } from '../../../lab/private-network/sshd.ts';
import { TunnelError } from '../../../src/contract/errors.ts';
import type { SshConfig } from '../../../src/contract/tunnel-config.ts';
import { silentLog } from '../../../src/process/log.ts';
import { ByteBudget, podBufferBytes } from '../../../src/sidecar/base/byte-budget.ts';
import type { Session } from '../../../src/sidecar/base/driver.ts';
import { SshSession } from '../../../src/sidecar/drivers/ssh/channels/session.ts';
import { createSshDriver } from '../../../src/sidecar/drivers/ssh/driver.ts';
import { CredentialStore } from '../../../src/sidecar/drivers/ssh/login/credentials.ts';
import { login } from '../../../src/sidecar/drivers/ssh/login/handshake.ts';
import { parseKnownHosts } from '../../../src/sidecar/drivers/ssh/login/known-hosts.ts';
import { connectTcp } from '../../../src/sidecar/drivers/ssh/login/tcp-connect.ts';
import { echo, flood, type Service, serve } from '../../driver-suite/destinations.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { isNative } from '../../support/data-path.ts';
import { liveMemory } from '../../support/live-memory.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { watchLoop } from '../../support/watch-loop.ts';
import { connectOnce, hopTo, SecretDirectory, userKey } from './ssh-world.ts';

/** Closes what a test opened, in reverse order. */
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  // Each of them, also where one fails.
  await using ends = new AsyncDisposableStack();
  for (const cleanup of cleanups.splice(0)) ends.defer(async () => void (await cleanup()));
});

const soon = (): AbortSignal => AbortSignal.timeout(30_000);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

interface World {
  readonly sshd: Sshd;
  readonly secret: SecretDirectory;
  readonly session: Session;
  readonly dial: (service: Service) => Promise<Duplex>;
}

async function bastion(options: SshdOptions = {}): Promise<{ readonly sshd: Sshd; readonly secret: SecretDirectory }> {
  const sshd = await startSshd(options);
  cleanups.push(() => sshd.stop());
  const key = await userKey(sshd);
  const secret = new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: sshd.knownHosts() });
  cleanups.push(() => secret[Symbol.dispose]());
  return { sshd, secret };
}

async function world(options: SshdOptions = {}, more: Partial<SshConfig> = {}): Promise<World> {
  const { sshd, secret } = await bastion(options);
  const session = await connectOnce(sshConfig([hopTo(sshd, secret)], more));
  cleanups.push(() => session.close());
  const dial = (service: Service) => session.dial({ host: '127.0.0.1', port: service.port }, { signal: soon() });
  return { sshd, secret, session, dial };
}

async function service(handle: (socket: Socket) => void): Promise<Service> {
  const started = await serve(handle);
  cleanups.push(() => started.stop());
  return started;
}

async function roundTrip(stream: Duplex, content: Buffer): Promise<void> {
  const answer = buffer(stream);
  stream.end(content);
  assert.equal(sha256(await answer), sha256(content));
}

describe('a session', () => {
  test('takes the path that this run is about', async () => {
    const { session } = await world();
    assert.equal(session.facts?.dataPath, isNative ? 'Native' : 'JavaScript');
  });

  test('carries its streams intact through the key re-exchanges that sshd begins', async () => {
    const { dial, sshd } = await world({ config: ['RekeyLimit 2M', 'LogLevel DEBUG1'] });
    const echoes = await service(echo);
    const streams = await Promise.all(Array.from({ length: 4 }, () => dial(echoes)));
    await Promise.all(streams.map((stream) => roundTrip(stream, randomBytes(8 * 1024 * 1024))));
    const exchanges = (): number => sshd.log().filter((line) => /rekey|set_newkeys: rekeying/.test(line)).length;
    await eventually('more than five lines of re-exchange', () => exchanges() > 5);
  });

  test('begins a key re-exchange itself after enough bytes under one key', async () => {
    const { sshd, secret } = await bastion({ config: ['LogLevel DEBUG1'] });
    const hop = hopTo(sshd, secret);
    const credentials = await new CredentialStore({ secretName: 's', directory: secret.directory }).current();
    const transport = await connectTcp(hop, 'bastion', soon());
    const log = silentLog();
    const done = await login({
      socket: transport,
      hop,
      role: 'bastion',
      trust: parseKnownHosts(sshd.knownHosts()),
      ignoreHostKey: false,
      credentials: [credentials],
      signal: soon(),
      log,
    });
    const budget = new ByteBudget();
    const session = new SshSession({
      hop,
      role: 'bastion',
      transport,
      login: done,
      budget,
      log,
      serverAliveIntervalMs: 200,
      rekeyBytes: 1024 * 1024,
    });
    cleanups.push(() => session.close());
    const echoes = await service(echo);
    for (let round = 0; round < 4; round++) {
      const stream = await session.dial({ host: '127.0.0.1', port: echoes.port }, { signal: soon() });
      await roundTrip(stream, randomBytes(8 * 1024 * 1024));
      await sleep(110);
    }
    const received = (): number => sshd.log().filter((line) => line.includes('SSH2_MSG_KEXINIT received')).length;
    await eventually('three exchanges', () => received() >= 3);
    await eventually('every byte is given back', () => budget.used === 0);
  });

  test('answers the keep-alives of sshd, with and without streams', async () => {
    const { session, dial } = await world(
      // The seventh silent second is one too many.
      { config: ['ClientAliveInterval 1', 'ClientAliveCountMax 6'] },
      { serverAliveIntervalSeconds: 0 },
    );
    await sleep(8500);
    const stream = await dial(await service(echo));
    await sleep(8500);
    assert.equal(session.signal.aborted, false);
    await roundTrip(stream, randomBytes(1000));
  });

  test('is suspect after two silent intervals, loses no stream over a stall, and recovers', async () => {
    const { session, dial, sshd } = await world({}, { serverAliveIntervalSeconds: 0.5 });
    const stream = await dial(await service(echo));
    const began = performance.now();
    stream.write('a');
    await once(stream, 'data');
    const changes: boolean[] = [];
    session.onSuspectChange(() => changes.push(session.suspect));
    sshd.pause();
    await eventually('suspect', () => session.suspect, 15_000);
    const took = performance.now() - began;
    assert.ok(took >= 1_000, `${took}`);
    await sleep(9000);
    assert.equal(session.signal.aborted, false, 'a far side whose kernel acknowledges only stalls');
    sshd.resume();
    await eventually('no longer suspect', () => !session.suspect);
    stream.write('b');
    assert.equal(String((await once(stream, 'data'))[0]), 'b');
    // On a busy machine sshd may be late again, for other reasons.
    assert.deepEqual(changes.slice(0, 2), [true, false]);
  });

  test('is ended when the far side stalls for too long, and breaks its streams off', async () => {
    const { session, dial, sshd } = await world({}, { serverAliveIntervalSeconds: 0.5 });
    const stream = await dial(await service(echo));
    stream.write('a');
    await once(stream, 'data');
    using loop = watchLoop();
    sshd.pause();
    const began = performance.now();
    const [error] = await once(stream, 'error');
    const took = performance.now() - began;
    assert.ok(took > 25_000 && (took < 62_000 || loop.overslept), `${took} ms`);
    assert.ok(error instanceof TunnelError);
    assert.equal(error.code, 'BastionLost');
    assert.equal(session.signal.reason, error);
    sshd.resume();
  });

  test('buffers little for a bastion that takes nothing: streams wait, memory does not fill', async () => {
    const { dial, sshd, session } = await world();
    const sink = await service((socket) => void socket.resume());
    const streams = await Promise.all(Array.from({ length: 48 }, () => dial(sink)));
    sshd.pause();
    const before = process.memoryUsage.rss();
    let accepted = 0;
    const block = randomBytes(64 * 1024);
    for (const stream of streams) {
      const more = (): void =>
        void stream.write(block, (error) => {
          if (error) return;
          accepted += block.length;
          more();
        });
      more();
    }
    await sleep(1500);
    // Windows of 2 MiB × 48 would take 96 MiB; the kernel's own buffers take a few.
    // The engine's clients are sockets, which take what the kernel has room for: what counts is the memory of this process.
    const held = isNative ? process.memoryUsage.rss() - before : accepted;
    assert.ok(held < 24 * 1024 * 1024, `${held} bytes were accepted`);
    sshd.resume();
    const enough = accepted + 104 * 1024 * 1024;
    await eventually('bytes flow again', () => accepted > enough, 60_000);
    await eventually('the session is not suspect', () => !session.suspect);
  });

  test('two hundred readers that stop cost the pod no more than its budget, and do not stop another', async (t) => {
    const { dial } = await world();
    const endless = await service(flood);
    const before = liveMemory();
    const stalled = await Promise.all(Array.from({ length: 200 }, () => dial(endless)));
    for (const stream of stalled) stream.once('data', () => stream.pause());
    await eventually('all have stalled', () => stalled.every((stream) => stream.isPaused()));
    await roundTrip(await dial(await service(echo)), randomBytes(4 * 1024 * 1024));
    await sleep(500);
    const held = stalled.reduce((sum, stream) => sum + stream.readableLength, 0);
    assert.ok(held < podBufferBytes, `${held} bytes are held`);
    const grown = (liveMemory() - before) / 1024 / 1024;
    t.diagnostic(`${(held / 1024 / 1024).toFixed(1)} MiB wait, live memory grew by ${grown.toFixed(1)} MiB`);
    assert.ok(grown < 128, `memory grew by ${grown.toFixed(0)} MiB`);
    for (const stream of stalled) stream.destroy();
  });

  test('says that it has no room at 500 streams, and has room again when they are gone', async () => {
    const { session, dial } = await world({ openFiles: 2048 });
    const echoes = await service(echo);
    const streams: Duplex[] = [];
    for (let batch = 0; batch < 10; batch++) {
      streams.push(...(await Promise.all(Array.from({ length: 50 }, () => dial(echoes)))));
    }
    assert.equal(session.streams, 500);
    assert.equal(session.hasRoom, false);
    await assert.rejects(dial(echoes), /maximum of 500/);
    for (const stream of streams) stream.destroy();
    await eventually('room', () => session.hasRoom && session.streams === 0);
    await roundTrip(await dial(echoes), randomBytes(1000));
  });

  test('reaches a unix socket on the bastion', async () => {
    const { session } = await world();
    const directory = mkdtempSync(join(tmpdir(), 'portforward-unix-'));
    cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
    chmodSync(directory, 0o755);
    const path = join(directory, '.s.PGSQL.5432');
    const server: Server = createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket)).listen(path);
    cleanups.push(() => server.close());
    await once(server, 'listening');
    chmodSync(path, 0o777);
    await roundTrip(await session.dial({ socket: path }, { signal: soon() }), randomBytes(1024 * 1024));
  });

  test('ends when the far side sends FIN, although our bytes cannot leave', async () => {
    const { sshd, secret } = await bastion();
    let toUs: Socket | undefined;
    const proxy = createServer({ allowHalfOpen: true }, (client) => {
      toUs = client;
      const upstream = connect({ port: sshd.port, host: sshd.host, allowHalfOpen: true });
      for (const socket of [client, upstream]) socket.on('error', () => undefined);
      upstream.on('data', (bytes) => client.write(bytes));
      client.on('data', (bytes) => upstream.write(bytes));
      cleanups.push(() => [client.destroy(), upstream.destroy()]);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    cleanups.push(() => proxy.close());
    const { port } = proxy.address() as { port: number };
    const session = await connectOnce(
      sshConfig([hopTo({ host: '127.0.0.1', port }, secret)], { knownHosts: sshd.knownHosts({ name: '127.0.0.1' }) }),
    );
    cleanups.push(() => session.close());
    const sink = await service((socket) => void socket.resume());
    const stream = await session.dial({ host: '127.0.0.1', port: sink.port }, { signal: soon() });
    toUs?.pause();
    const block = randomBytes(64 * 1024);
    const more = (): void => void stream.write(block, (error) => error ?? more());
    more();
    await sleep(500);
    toUs?.end();
    const began = performance.now();
    const [error] = await once(stream, 'error');
    assert.ok(performance.now() - began < 7000, 'its silence was noticed, not its end');
    assert.ok(error instanceof TunnelError && error.code === 'BastionLost');
    assert.equal(stream.destroyed, true);
  });
});

describe('through jump hosts', () => {
  interface Way {
    readonly jumps: readonly Sshd[];
    readonly last: Sshd;
    readonly config: SshConfig;
  }
  async function way(jumpOptions: readonly SshdOptions[] = [{}, {}]): Promise<Way> {
    const jumps = [];
    const hops = [];
    for (const options of jumpOptions) {
      const { sshd, secret } = await bastion(options);
      jumps.push(sshd);
      hops.push(hopTo(sshd, secret));
    }
    const { sshd: last, secret } = await bastion();
    const config = sshConfig([hopTo(last, secret)], { jumpHosts: hops, serverAliveIntervalSeconds: 0.5 });
    return { jumps, last, config };
  }
  const open = async (config: SshConfig): Promise<Session> => {
    const session = await connectOnce(config);
    cleanups.push(() => session.close());
    return session;
  };

  test('two of them carry 10 MiB each way, with a Secret for each hop', async () => {
    const { config, last } = await way();
    const session = await open(config);
    assert.equal(session.via, `127.0.0.1:${last.port}`);
    const echoes = await service(echo);
    const dial = () => session.dial({ host: '127.0.0.1', port: echoes.port }, { signal: soon() });
    await Promise.all(
      (await Promise.all([dial(), dial(), dial()])).map((stream) => roundTrip(stream, randomBytes(10 * 1024 * 1024))),
    );
  });

  for (const index of [0, 1]) {
    test(`losing jump host ${index + 1} breaks every stream off with the reason, and ends the hops behind it`, async () => {
      const { config, jumps, last } = await way();
      const session = await open(config);
      const echoes = await service(echo);
      const stream = await session.dial({ host: '127.0.0.1', port: echoes.port }, { signal: soon() });
      let aborted = false;
      session.signal.addEventListener('abort', () => {
        aborted = true;
      });
      jumps[index]?.killSessions();
      const began = performance.now();
      const [error] = await once(stream, 'error');
      assert.ok(performance.now() - began < 5000, 'its silence was noticed, not its end');
      assert.ok(error instanceof TunnelError && error.code === 'BastionLost', String(error));
      assert.ok(aborted);
      for (const sshd of [...jumps, last]) await eventually('no session is left', () => sshd.sessions().length === 0);
    });
  }

  test('close ends the sessions on every hop', async () => {
    const { config, jumps, last } = await way();
    const session = await connectOnce(config);
    assertEvery(jumps, (sshd) => sshd.sessions().length > 0, 'each jump host carries a session');
    await session.close();
    for (const sshd of [...jumps, last]) await eventually('no session is left', () => sshd.sessions().length === 0);
  });

  test('a bastion that a jump host cannot reach is BastionRefused, and nothing is left open', async () => {
    const { config, jumps, last } = await way([{}]);
    await last.kill();
    await assert.rejects(connectOnce(config), {
      code: 'BastionRefused',
      message: new RegExp(`bastion 127\\.0\\.0\\.1:${last.port} cannot be reached from the jump host`),
    });
    for (const sshd of jumps) await eventually('no session is left', () => sshd.sessions().length === 0);
  });

  test('a jump host that forbids forwarding is BastionUnreachable and says so', async () => {
    const { config } = await way([{ config: ['AllowTcpForwarding no'] }]);
    await assert.rejects(connectOnce(config), { code: 'BastionUnreachable', message: /does not allow forwarding/ });
  });

  test('a jump host that refuses the login is named as one', async () => {
    const { config, jumps } = await way([{}]);
    jumps[0]?.authorize([]);
    await assert.rejects(connectOnce(config), {
      code: 'AuthenticationFailed',
      message: new RegExp(`jump host 127\\.0\\.0\\.1:${jumps[0]?.port}`),
    });
  });

  test('an attempt is answered by the bastion, not by a jump host before it', async () => {
    const { config, jumps, last } = await way([{}]);
    const driver = createSshDriver(config, { podUid: 'test', log: silentLog() });
    cleanups.push(() => driver.close());
    const [route] = await driver.routes({ signal: soon() });
    assert.ok(route);
    let answers = 0;
    last.pause();
    const attempt = driver.connect(route, { signal: soon(), log: silentLog(), onAnswer: () => answers++ });
    await eventually('the jump host has let us in', () =>
      (jumps[0]?.log() ?? []).some((line) => line.includes('Accepted publickey')),
    );
    assert.equal(answers, 0);
    last.resume();
    await (await attempt).close();
    assert.equal(answers, 1);
  });

  test('a jump host that freezes in mid-way ends the attempt in time', async () => {
    const { config, last } = await way([{}]);
    last.pause();
    await assert.rejects(connectOnce({ ...config, connectTimeoutSeconds: 1 }), { code: 'BastionTimeout' });
    last.resume();
  });
});
