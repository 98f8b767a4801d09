// What a protocol without half-close must do instead (docs/promises.md, promise 1): no byte is lost that was sent before an end, and an
// end that the protocol cannot tell from a reset arrives as an end. Part of the suite. Neighbours: suite.ts, destinations.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { TunnelError } from '../../src/contract/errors.ts';
import { reset, type Service } from './destinations.ts';

interface World {
  readonly service: (handle: (socket: Socket) => void) => Promise<Service>;
  /** A stream of a new session. */
  readonly open: (port: number) => Promise<Duplex>;
}

export function noHalfCloseSuite({ service, open }: World): void {
  test('a client’s end reaches the destination after all that was sent, once the destination was silent for 2 s', async () => {
    const got: Buffer[] = [];
    const ended = Promise.withResolvers<number>();
    const { port } = await service((socket) => {
      socket.on('data', (bytes: Buffer) => got.push(bytes)).once('end', () => ended.resolve(performance.now()));
    });
    const stream = await open(port);
    const broken = once(stream, 'error');
    const before = performance.now();
    stream.resume().end(Buffer.alloc(1024 * 1024, 'x'));
    const after = (await ended.promise) - before;
    assert.ok(after >= 2_000 && after < 15_000, `after ${after} ms`);
    assert.equal(Buffer.concat(got).length, 1024 * 1024);
    const [error] = (await broken) as [unknown];
    assert.ok(
      error instanceof TunnelError && error.code === 'DestinationTimeout',
      'an end that is a guess is not a clean one',
    );
  });

  test('a destination that keeps sending after the client’s end is read to its own clean end', async () => {
    const parts = Array.from({ length: 8 }, (_, index) => `part ${index} `);
    const { port } = await service((socket) => {
      const speak = async (): Promise<void> => {
        // For longer than 2 s, and never silent for nearly as long, even if everything is a second late.
        for (const part of parts) {
          await sleep(400);
          socket.write(part);
        }
        socket.end();
      };
      socket.once('data', () => void speak());
    });
    const stream = await open(port);
    const answer = buffer(stream);
    stream.end('go');
    assert.equal((await answer).toString(), parts.join(''));
  });

  test('a destination’s end ends the stream both ways, and its reset looks the same', async () => {
    const { port, connections } = await service(reset('last words'));
    const stream = await open(port);
    const answer: Buffer[] = [];
    stream.on('data', (bytes: Buffer) => answer.push(bytes));
    stream.write('go');
    await eventually('the stream is closed both ways', () => stream.closed);
    assert.equal(Buffer.concat(answer).toString(), 'last words');
    assert.equal(stream.readableEnded, true);
    assert.equal(stream.errored, null);
    // The destination’s own close comes at the end of the turn in which it resets, and the end of the stream may come before it.
    await eventually('the destination’s connection is closed', () => connections.size === 0);
  });
}
