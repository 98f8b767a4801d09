import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  command,
  FrameParser,
  frameHeader,
  SmuxProtocolError,
  writeFrameHeader,
} from '../../../../../../../src/sidecar/drivers/ssm/streams/smux/frame.ts';
import { vector, vectorPayload } from '../../golden.ts';
import { type NaiveFrame, naiveFrames } from '../../naive-codec.ts';

/** The parser's events for these chunks, with the pieces of one frame joined. */
function parsed(chunks: readonly Buffer[]): NaiveFrame[] {
  const frames: NaiveFrame[] = [];
  const parser = new FrameParser({
    opened: (stream) => frames.push({ command: command.open, stream, data: '' }),
    finished: (stream) => frames.push({ command: command.finish, stream, data: '' }),
    nop: () => frames.push({ command: command.nop, stream: 0, data: '' }),
    data: (stream, piece) => {
      assert.ok(piece.length > 0);
      frames.push({ command: command.push, stream, data: piece.toString('hex') });
    },
  });
  for (const chunk of chunks) parser.push(chunk);
  return frames;
}

/** Joins adjacent data of one stream: where chunks are cut must make no difference. */
function joined(frames: readonly NaiveFrame[]): NaiveFrame[] {
  const out: NaiveFrame[] = [];
  for (const frame of frames) {
    const last = out.at(-1);
    if (frame.command === command.push && frame.data === '') continue;
    if (last?.command === command.push && frame.command === command.push && last.stream === frame.stream) {
      out[out.length - 1] = { ...last, data: last.data + frame.data };
    } else out.push(frame);
  }
  return out;
}

test('the golden frames are read, even when cut inside a header', () => {
  assert.deepEqual(parsed([vector('smux-syn-3'), vector('smux-fin-3'), vector('smux-nop')]), [
    { command: command.open, stream: 3, data: '' },
    { command: command.finish, stream: 3, data: '' },
    { command: command.nop, stream: 0, data: '' },
  ]);
  const split = parsed([vectorPayload('output-smux-split-part1'), vectorPayload('output-smux-split-part2')]);
  assert.deepEqual(split, [{ command: command.push, stream: 7, data: Buffer.from('0123456789').toString('hex') }]);
});

test('headers are written as in the golden frames', () => {
  const header = Buffer.alloc(frameHeader);
  writeFrameHeader(header, 0, { command: command.push, stream: 5, length: 32_768 });
  assert.deepEqual(header, vector('smux-psh-header-32768'));
  writeFrameHeader(header, 0, { command: command.open, stream: 3, length: 0 });
  assert.deepEqual(header, vector('smux-syn-3'));
});

test('a frame of version 2 or of an unknown command is an error that says so', () => {
  assert.throws(() => parsed([vector('smux-v2-upd-reject')]), SmuxProtocolError);
  assert.throws(() => parsed([Buffer.from('0105000000000000', 'hex')]), /unknown command 5/);
});

test('any frames cut anywhere are read as by a naive reader of the whole', () => {
  const frame = fc.record({
    command: fc.constantFrom(command.open, command.finish, command.push, command.nop),
    stream: fc.nat(0xffff_ffff),
    data: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.nat(40)), (frames, cuts) => {
      const bytes = Buffer.concat(
        frames.flatMap((one) => {
          const header = Buffer.alloc(frameHeader);
          const data = one.command === command.push ? one.data : new Uint8Array();
          const stream = one.command === command.nop ? 0 : one.stream;
          writeFrameHeader(header, 0, { command: one.command, stream, length: data.length });
          return [header, data];
        }),
      );
      const chunks: Buffer[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(bytes.subarray(at, at + cut));
        at += cut;
      }
      chunks.push(bytes.subarray(at));
      assert.deepEqual(joined(parsed(chunks)), joined(naiveFrames(bytes)));
    }),
  );
});
