// The frames between driver and helper, however the bytes are cut.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  dataFrames,
  finFrame,
  framedLength,
  HelperFrames,
  writeFrames,
} from '../../../../../src/sidecar/drivers/fly/helper/frames.ts';

function parsed(chunks: readonly Buffer[]): { readonly data: Buffer; readonly events: readonly string[] } {
  const pieces: Buffer[] = [];
  const events: string[] = [];
  const frames = new HelperFrames({
    data: (piece) => pieces.push(Buffer.from(piece)),
    fin: () => events.push('fin'),
    reset: (kind) => events.push(`reset ${kind}`),
  });
  for (const chunk of chunks) frames.push(chunk);
  return { data: Buffer.concat(pieces), events };
}

const frame = (kind: number, content: Buffer, length = content.length): Buffer => {
  const head = Buffer.alloc(5);
  head[0] = kind;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, content]);
};

test('what is framed is parsed, whatever the sizes and wherever it is cut', () => {
  const chunk = fc.uint8Array({ minLength: 1, maxLength: 40_000 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 4 }), fc.array(fc.integer({ min: 1, max: 20_000 })), (chunks, cuts) => {
      const wire = Buffer.concat([...dataFrames(chunks), finFrame]);
      const cut: Buffer[] = [];
      let at = 0;
      for (const length of [...cuts, wire.length]) {
        cut.push(wire.subarray(at, at + length));
        at = Math.min(wire.length, at + length);
      }
      const { data, events } = parsed(cut);
      assert.ok(data.equals(Buffer.concat(chunks)));
      assert.deepEqual(events, ['fin']);
    }),
    { numRuns: 100 },
  );
});

test('frames in one piece of memory are the same', () => {
  for (const length of [1, 16 * 1024, 16 * 1024 + 1, 50_000]) {
    const bytes = randomBytes(length);
    const target = Buffer.alloc(framedLength(length));
    writeFrames(bytes, target);
    assert.ok(target.equals(Buffer.concat(dataFrames([bytes]))), `${length} bytes`);
  }
});

test('a reset comes whole, byte by byte too', () => {
  const wire = frame(2, Buffer.from('timeout'));
  assert.deepEqual(parsed([wire]).events, ['reset timeout']);
  assert.deepEqual(parsed([...wire].map((byte) => Buffer.of(byte))).events, ['reset timeout']);
});

test('what is no frame is refused', () => {
  const wrong: readonly (readonly [what: string, wire: Buffer])[] = [
    ['an unknown kind', frame(3, Buffer.alloc(0))],
    ['data longer than a frame', frame(0, Buffer.alloc(0), 64 * 1024 + 1)],
    ['an end with content', frame(1, Buffer.from('x'))],
    ['a reset without its kind', frame(2, Buffer.alloc(0))],
    ['a reset that is too long', frame(2, Buffer.alloc(65))],
  ];
  for (const [what, wire] of wrong) assert.throws(() => parsed([wire]), { name: 'FrameError' }, what);
});
