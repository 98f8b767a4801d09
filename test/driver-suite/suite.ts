// What every driver must do, whatever its protocol: the interface of src/sidecar/base/driver.ts and docs/promises.md, promises 1, 5 and 6.
// A driver's test calls `driverSuite` with its world; a new driver is done when this passes.
// Neighbours: world.ts is what the suite needs of a driver, destinations.ts are the services it dials.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { TunnelError } from '../../src/contract/errors.ts';
import { createLog } from '../../src/process/log.ts';
import type { Driver, Session } from '../../src/sidecar/base/driver.ts';
import { assertEvery } from '../support/assert-every.ts';
import { closedPort, download, echo, endFirst, flood, hashAfterEnd, type Service, serve } from './destinations.ts';
import { noHalfCloseSuite } from './no-half-close.ts';
import type { DriverWorld, Traits } from './world.ts';

const content = randomBytes(10 * 1024 * 1024);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const soon = (): AbortSignal => AbortSignal.timeout(30_000);

/** Sockets and timers that this process holds at this moment. */
function held(): Record<string, number> {
  const kinds = ['TCPSocketWrap', 'PipeWrap', 'FSEvent', 'FSEventWrap', 'MessagePort', 'ProcessWrap'];
  const resources = process.getActiveResourcesInfo();
  return Object.fromEntries(kinds.map((kind) => [kind, resources.filter((name) => name === kind).length]));
}

/** Fails when the stream ends cleanly; resolves with its error. */
async function brokenOff(stream: Duplex): Promise<Error> {
  const { promise, resolve, reject } = Promise.withResolvers<Error>();
  stream.once('error', resolve);
  stream.once('end', () => reject(new Error('a broken stream ended cleanly')));
  stream.once('close', () => reject(new Error('a broken stream closed without an error')));
  stream.resume();
  return await promise;
}

/** Reads that many bytes of a stream that goes on. */
async function taken(stream: Duplex, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let left = length;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  stream
    .on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      left -= chunk.length;
      if (left <= 0) resolve(Buffer.concat(chunks));
    })
    .once('error', reject)
    .once('end', () => reject(new Error(`the stream ended ${left} bytes early`)));
  return await promise;
}

export function driverSuite(name: string, traits: Traits, createWorld: () => Promise<DriverWorld>): void {
  describe(`the driver ${name}`, () => {
    let world: DriverWorld;
    let driver: Driver;
    const services: Service[] = [];
    const closedPorts: Pick<Service, 'stop'>[] = [];
    const sessions: Session[] = [];
    const said: string[] = [];
    const log = createLog({ level: 'debug', destination: { write: (line) => void said.push(line) } });

    const service = async (handle: Parameters<typeof serve>[0]): Promise<Service> => {
      const started = await serve(handle);
      services.push(started);
      return started;
    };
    const connect = async (using: Driver = driver, signal: AbortSignal = soon()): Promise<Session> => {
      const [route] = await using.routes({ signal });
      assert.ok(route, 'at least one route');
      const session = await using.connect(route, { signal, log });
      sessions.push(session);
      return session;
    };
    const dial = (session: Session, port: number): Promise<Duplex> =>
      session.dial(world.destination(port), { signal: soon() });

    /** What an echo sends back for these bytes; ends the stream. */
    const echoed = async (stream: Duplex, bytes: Buffer): Promise<Buffer> => {
      if (traits.halfClose) {
        const answer = buffer(stream);
        stream.end(bytes);
        return await answer;
      }
      const answer = taken(stream, bytes.length);
      stream.write(bytes);
      const got = await answer;
      stream.destroy();
      return got;
    };

    before(async () => {
      world = await createWorld();
    });
    after(async () => {
      await world.stop();
    });
    beforeEach(() => {
      driver = world.driver(log);
    });
    afterEach(async () => {
      await Promise.all(sessions.splice(0).map((session) => session.close()));
      await driver.close();
      await Promise.all([...services.splice(0), ...closedPorts.splice(0)].map((started) => started.stop()));
    });

    test('carries 10 MiB each way, unchanged', async () => {
      const { port } = await service(echo);
      const stream = await dial(await connect(), port);
      assert.equal(sha256(await echoed(stream, content)), sha256(content));
    });

    test('carries 10 MiB down to a clean end', async () => {
      const { port } = await service(download(content));
      const stream = await dial(await connect(), port);
      assert.equal(sha256(await buffer(stream)), sha256(content));
      stream.end();
    });

    if (traits.halfClose) {
      test('keeps the half-close of the client: the destination still answers', async () => {
        const { port } = await service(hashAfterEnd);
        const stream = await dial(await connect(), port);
        const answer = buffer(stream);
        stream.end(content);
        assert.equal((await answer).toString(), sha256(content));
      });

      test('keeps the half-close of the destination: the client still sends', async () => {
        const { promise, resolve } = Promise.withResolvers<Buffer>();
        const { port } = await service(endFirst(resolve));
        const stream = await dial(await connect(), port);
        assert.equal((await buffer(stream)).toString(), 'bye');
        stream.end(content);
        assert.equal(sha256(await promise), sha256(content));
      });
    } else noHalfCloseSuite({ service, open: async (port) => dial(await connect(), port) });

    test('one reader that stops does not stop the others', async () => {
      const session = await connect();
      const [endless, echoes] = [await service(flood), await service(echo)];
      const stopped = await dial(session, endless.port);
      stopped.once('data', () => stopped.pause());
      await eventually('the stopped reader has had something', () => stopped.readableFlowing === false);
      const streams = await Promise.all(Array.from({ length: 40 }, () => dial(session, echoes.port)));
      const part = content.subarray(0, 256 * 1024);
      const answers = await Promise.all(streams.map((stream) => echoed(stream, part)));
      for (const answer of answers) assert.equal(sha256(answer), sha256(part));
      assert.equal(stopped.destroyed, false);
      assert.ok(stopped.readableLength < 16 * 1024 * 1024, `holds ${stopped.readableLength} bytes for it`);
      stopped.destroy();
    });

    test('destroying a stream ends the destination’s connection', async () => {
      const { port, connections } = await service(flood);
      const session = await connect();
      const stream = await dial(session, port);
      await once(stream, 'data');
      stream.destroy();
      await eventually('the destination is let go', () => connections.size === 0);
      await eventually('the stream is not counted', () => session.streams === 0);
      assert.equal(session.signal.aborted, false);
    });

    test('a refused destination is reported, and the session stays usable', async () => {
      const session = await connect();
      const closed = await closedPort();
      closedPorts.push(closed);
      const nothing = closed.port;
      const refusal = traits.dialTells
        ? await dial(session, nothing).then(
            () => undefined,
            (error: unknown) => error,
          )
        : await brokenOff(await dial(session, nothing));
      assert.ok(refusal instanceof TunnelError, String(refusal));
      assert.equal(refusal.code, traits.dialTells ? 'DestinationRefused' : 'DestinationUnreachable');
      assert.equal(refusal.layer, 'destination');
      if (traits.dialTells) assert.match(refusal.message, new RegExp(`${nothing}`));
      const { port } = await service(echo);
      assert.equal((await echoed(await dial(session, port), Buffer.from('still here'))).toString(), 'still here');
    });

    test('refused credentials are reported with a code of the bastion’s layer', async () => {
      const refused = world.refusedDriver(log);
      await assert.rejects(connect(refused.driver), (error) => {
        assert.ok(error instanceof TunnelError);
        assert.equal(error.code, refused.code);
        assert.equal(error.layer, 'bastion');
        return true;
      });
      await refused.driver.close();
    });

    test('losing the bastion aborts the signal with the cause, then breaks every stream off at once', async () => {
      const { port } = await service(flood);
      const own = world.driver(log, [port]);
      const session = await connect(own);
      const streams = await Promise.all(Array.from({ length: 12 }, () => dial(session, port)));
      // Read all in parallel: a stream that nobody reads may stop the others.
      await Promise.all(streams.map((stream) => once(stream, 'data')));
      const order: string[] = [];
      session.signal.addEventListener('abort', () => order.push('signal'));
      const endings = streams.map(async (stream) => {
        const error = await brokenOff(stream);
        order.push('stream');
        return error;
      });
      const lostAt = performance.now();
      await world.loseSessions();
      for (const error of await Promise.all(endings)) assert.ok(error instanceof TunnelError, String(error));
      assert.ok(performance.now() - lostAt < 5000, `took ${performance.now() - lostAt} ms`);
      assert.equal(order[0], 'signal');
      assert.ok(session.signal.reason instanceof TunnelError);
      assert.equal(session.signal.reason.code, 'BastionLost');
      assert.equal(session.streams, 0);
      await assert.rejects(dial(session, port), TunnelError);
      await own.close();
    });

    test('an attempt that is aborted leaves nothing behind', async () => {
      const [route] = await driver.routes({ signal: soon() });
      assert.ok(route);
      const thaw = world.freeze();
      try {
        const before = held();
        const abort = new AbortController();
        const attempt = driver.connect(route, { signal: abort.signal, log });
        const refused = assert.rejects(attempt, /no longer wanted/);
        await sleep(100);
        abort.abort(new Error('no longer wanted'));
        await refused;
        await eventually('no socket is left', () => (held()['TCPSocketWrap'] ?? 0) <= (before['TCPSocketWrap'] ?? 0));
      } finally {
        thaw();
      }
    });

    test('a dial that is aborted leaves nothing behind, even when the far side opens it later', async () => {
      const { port, connections } = await service(echo);
      const session = await connect();
      (await dial(session, port)).destroy();
      await eventually('the first stream is gone', () => connections.size === 0);
      const thaw = world.freeze();
      try {
        const abort = new AbortController();
        const attempt = session.dial(world.destination(port), { signal: abort.signal });
        // If a dial does not wait for the far side, the caller has a stream by now and destroys it.
        const unwanted = traits.dialTells
          ? assert.rejects(attempt, /no longer wanted/)
          : attempt.then((stream) => void stream.destroy());
        await sleep(50);
        abort.abort(new Error('no longer wanted'));
        await unwanted;
      } finally {
        thaw();
      }
      const stream = await dial(session, port);
      stream.write('x');
      await once(stream, 'data');
      await eventually('only the wanted connection is open', () => connections.size === 1);
      assert.equal(session.streams, 1);
      stream.destroy();
    });

    test('close ends every stream with an error, and may be called again', async () => {
      const { port, connections } = await service(echo);
      const session = await connect();
      const streams = await Promise.all([dial(session, port), dial(session, port)]);
      const broken = streams.map(brokenOff);
      await session.close();
      for (const error of await Promise.all(broken)) assert.ok(error instanceof TunnelError);
      assert.equal(session.signal.aborted, true);
      await eventually('the destination is let go', () => connections.size === 0);
      await session.close();
    });

    test('nothing keeps the event loop alive after close', async () => {
      const before = held();
      const own = world.driver(log);
      const unsubscribe = own.onCredentialsChange(() => undefined);
      const [route] = await own.routes({ signal: soon() });
      assert.ok(route);
      const session = await own.connect(route, { signal: soon(), log });
      const { port } = await service(echo);
      await echoed(await session.dial(world.destination(port), { signal: soon() }), Buffer.from('x'));
      await session.close();
      unsubscribe();
      await own.close();
      await services.splice(0)[0]?.stop();
      // Fewer are no fault: a handle of the test before may still have been on its way out.
      const more = (): boolean => Object.entries(held()).some(([kind, count]) => count > (before[kind] ?? 0));
      await eventually('all handles are gone', () => !more());
    });

    test('no secret is in any log line of these tests', () => {
      assert.ok(said.length > 0, 'something was logged');
      for (const secret of world.secrets) {
        assertEvery(said, (line) => !line.includes(secret), 'no secret is logged');
        assertEvery(said, (line) => !line.includes(Buffer.from(secret).toString('base64')), 'no secret is logged');
      }
    });
  });
}
