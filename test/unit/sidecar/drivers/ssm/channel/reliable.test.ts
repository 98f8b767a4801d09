import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Message } from '../../../../../../src/sidecar/drivers/ssm/channel/message.ts';
import { ReliableReceiver, ReliableSender } from '../../../../../../src/sidecar/drivers/ssm/channel/reliable.ts';
import { RoundTrip } from '../../../../../../src/sidecar/drivers/ssm/channel/round-trip.ts';
import { numbers } from '../../../../../fuzz/broken.ts';
import { golden } from '../golden.ts';

function message(sequenceNumber: number, payload: Buffer = Buffer.from([sequenceNumber % 256])): Message {
  return {
    messageType: 'output_stream_data',
    sequenceNumber,
    flags: 0,
    createdDate: 1,
    messageId: '00112233-4455-4677-8899-aabbccdd0001',
    payloadType: 1,
    payload,
  };
}

/** Virtual time with its events in order; nothing really waits. */
class VirtualTime {
  now = 0;
  readonly #events: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;

  at(at: number, run: () => void): void {
    const event = { at: Math.max(at, this.now), order: this.#order++, run };
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1]?.at ?? 0) > event.at) place -= 1;
    this.#events.splice(place, 0, event);
  }

  /** Runs events until `until` returns true. */
  run(limit: number, until: () => boolean): void {
    while (!until()) {
      const event = this.#events.shift();
      if (event === undefined || event.at > limit) {
        assert.fail(`not done after ${limit} ms of virtual time`);
      }
      this.now = event.at;
      event.run();
    }
  }
}

interface Line {
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly loss: number;
  readonly doubled: number;
}

/** A relay that delays, loses, duplicates and reorders what it carries, and may be down. */
class Relay {
  up = true;
  readonly #time: VirtualTime;
  readonly #line: Line;
  readonly #random: () => number;

  constructor(time: VirtualTime, line: Line, random: () => number) {
    this.#time = time;
    this.#line = line;
    this.#random = random;
  }

  carry(arrived: () => void): void {
    const { loss, doubled, delayMs, jitterMs } = this.#line;
    const copies = this.#random() < loss ? 0 : this.#random() < doubled ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      this.#time.at(this.#time.now + delayMs + this.#random() * jitterMs, () => {
        if (this.up) arrived();
      });
    }
  }
}

function numbered(sequence: number, random: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(sequence, 0);
  bytes.writeUInt32BE(Math.floor(random * 2 ** 32), 4);
  return bytes;
}

/** Our sender against an agent as the reference describes it: it acknowledges each message, including early and duplicated ones. */
function upload(count: number, line: Line, seed: number, cuts: readonly { at: number; until: number }[] = []) {
  const random = numbers(seed);
  const time = new VirtualTime();
  const sender = new ReliableSender();
  const sentBytes = new Map<number, string>();
  const early = new Map<number, string>();
  const delivered: string[] = [];
  let transmissions = 0;
  const relay = new Relay(time, line, random);
  let sent = 0;
  let pending: number | undefined;

  const transmit = (frame: Buffer): void => {
    transmissions += 1;
    const [sequence, text] = [frame.readUInt32BE(0), frame.toString('hex')];
    assert.equal(sentBytes.get(sequence) ?? text, text, 'a repetition differs from what was sent first');
    sentBytes.set(sequence, text);
    relay.carry(() => {
      early.set(sequence, text);
      while (early.has(delivered.length)) delivered.push(early.get(delivered.length) ?? '');
      relay.carry(() => {
        sender.acknowledged(sequence, time.now);
        work();
      });
    });
  };
  const work = (): void => {
    for (const frame of sender.repetitions(time.now)) transmit(frame);
    while (sent < count && sender.ready(time.now)) {
      const frame = sender.send((sequence) => {
        assert.equal(sequence, sent);
        return numbered(sequence, random());
      }, time.now);
      sent += 1;
      transmit(frame);
    }
    const wake = sender.wakeAt(time.now, sent < count);
    if (wake === undefined || (pending !== undefined && pending <= wake)) return;
    pending = wake;
    time.at(wake, () => {
      if (pending === wake) pending = undefined;
      work();
    });
  };
  const setUp = (up: boolean): void => {
    relay.up = up;
    if (!up) return sender.disconnected();
    sender.connected();
    work();
  };
  for (const { at, until } of cuts) {
    time.at(at, () => setUp(false));
    time.at(until, () => setUp(true));
  }
  setUp(true);
  time.run(1_000_000, () => delivered.length === count && sender.outstanding === 0);
  const inOrder = [...sentBytes.entries()].sort(([a], [b]) => a - b).map(([, text]) => text);
  assert.deepEqual(delivered, inOrder);
  return { transmissions, ms: time.now, sender };
}

test('the wait for an acknowledgement follows samples as in the golden table', () => {
  assert.equal(new RoundTrip().timeoutMs, golden.rto.initial.rtoMs);
  for (const run of golden.rto.runs) {
    const roundTrip = new RoundTrip();
    for (const { sampleMs, srttMs, rtoMs } of run) {
      roundTrip.sample(sampleMs, 0);
      assert.ok(Math.abs(roundTrip.smoothedMs - srttMs) < 1e-5);
      assert.ok(Math.abs(roundTrip.timeoutMs - rtoMs) < 1e-5);
    }
  }
});

test('without acknowledgements the waits double up to 1 s; the next sample shortens them again', () => {
  const roundTrip = new RoundTrip();
  const waits = [1, 2, 3, 4, 5].map(() => {
    roundTrip.backOff();
    return roundTrip.timeoutMs;
  });
  assert.deepEqual(waits, [400, 800, 1_000, 1_000, 1_000]);
  roundTrip.sample(100, 0);
  assert.ok(roundTrip.timeoutMs < 200);
});

test('without loss nothing is sent twice and the pace is 900 messages a second', () => {
  const { transmissions, ms } = upload(9_000, { delayMs: 40, jitterMs: 0, loss: 0, doubled: 0 }, 1);
  assert.equal(transmissions, 9_000);
  assert.ok(ms > 9_700 && ms < 10_300, `${ms} ms`);
});

test('the window keeps the pace at 400 ms round trip', () => {
  const { ms, transmissions } = upload(9_000, { delayMs: 200, jitterMs: 0, loss: 0, doubled: 0 }, 1);
  assert.ok(ms < 12_500, `${ms} ms`);
  assert.ok(transmissions <= 9_002, `${transmissions} transmissions`);
});

test('loss of 2 % costs little time and few repetitions', () => {
  const { transmissions, ms } = upload(20_000, { delayMs: 40, jitterMs: 5, loss: 0.02, doubled: 0 }, 2);
  // 2 % of the messages and 2 % of the acknowledgements.
  assert.ok(transmissions < 20_000 * 1.06, `${transmissions} transmissions`);
  assert.ok(ms < 25_000, `${ms} ms`);
});

test('whatever is lost, duplicated, reordered or cut, everything arrives once and in order, with the bytes of the first sending', () => {
  fc.assert(
    fc.property(
      fc.record({
        delayMs: fc.integer({ min: 0, max: 300 }),
        jitterMs: fc.integer({ min: 0, max: 300 }),
        loss: fc.double({ min: 0, max: 0.3, noNaN: true }),
        doubled: fc.double({ min: 0, max: 0.3, noNaN: true }),
      }),
      fc.nat(),
      fc.integer({ min: 1, max: 400 }),
      fc.nat(2_000),
      (line, seed, count, cutAt) => {
        upload(count, line, seed, [{ at: cutAt, until: cutAt + 300 }]);
      },
    ),
    { numRuns: 60 },
  );
});

test('after a reconnect everything outstanding is repeated at once in order, before anything new', () => {
  const sender = new ReliableSender();
  sender.connected();
  const frames = [0, 1, 2].map((at) => sender.send((sequence) => Buffer.from([sequence]), at));
  sender.disconnected();
  assert.equal(sender.ready(10), false);
  assert.deepEqual(sender.repetitions(5_000), []);
  assert.equal(sender.wakeAt(5_000, true), undefined);
  sender.connected();
  assert.equal(sender.ready(5_000), false);
  assert.deepEqual(sender.repetitions(5_000), frames);
  assert.equal(sender.ready(5_000), true);
});

test('without acknowledgements the window closes, and only the oldest message is repeated', () => {
  const sender = new ReliableSender();
  sender.connected();
  let now = 0;
  let sent = 0;
  let repeated = 0;
  for (; now < 10_000; now += 1) {
    for (const frame of sender.repetitions(now)) {
      assert.equal(frame.readUInt32BE(0), 0);
      repeated += 1;
    }
    while (sender.ready(now)) {
      sender.send((sequence) => {
        const frame = Buffer.alloc(1_144);
        frame.writeUInt32BE(sequence, 0);
        return frame;
      }, now);
      sent += 1;
    }
  }
  assert.equal(sent, 180);
  assert.ok(repeated >= 8 && repeated <= 12, `${repeated} repetitions`);
  assert.equal(sender.outstandingBytes, 180 * 1_144);
});

test('an acknowledgement of something that is not outstanding is no sign of life', () => {
  const sender = new ReliableSender();
  sender.connected();
  sender.send(() => Buffer.from('x'), 0);
  assert.equal(sender.acknowledged(7, 1), false);
  assert.equal(sender.acknowledged(0, 1), true);
  assert.equal(sender.acknowledged(0, 1), false);
});

test('messages in any order and any number of copies are delivered once and in order, and each is acknowledged', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(49)), (count, doubles) => {
      const order = [...doubles.filter((one) => one < count), ...Array(count).keys()];
      const receiver = new ReliableReceiver();
      const delivered: number[] = [];
      for (const sequence of order) {
        const { acknowledge, deliver } = receiver.receive(message(sequence), 0);
        assert.equal(acknowledge, true);
        delivered.push(...deliver.map((one) => one.sequenceNumber));
      }
      assert.deepEqual(delivered, [...Array(count).keys()]);
    }),
  );
});

test('a message that does not fit while a gap is open is not acknowledged; once the gap is filled, messages fit again', () => {
  const receiver = new ReliableReceiver();
  const large = Buffer.alloc(1024 * 1024);
  for (let sequence = 1; sequence <= 8; sequence += 1) {
    assert.equal(receiver.receive(message(sequence, large), 0).acknowledge, true);
  }
  assert.equal(receiver.receive(message(9, large), 0).acknowledge, false);
  assert.equal(receiver.receive(message(0), 0).deliver.length, 9);
  assert.deepEqual(
    receiver.receive(message(9, large), 0).deliver.map((one) => one.sequenceNumber),
    [9],
  );
});
