// What a full pod does: each port keeps its share, and a client beyond it hears why in its own protocol.
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { TunnelError } from '../../../../src/contract/errors.ts';
import type { Forward } from '../../../../src/contract/tunnel-config.ts';
import { systemClock } from '../../../../src/process/clock.ts';
import { silentLog } from '../../../../src/process/log.ts';
import { ByteBudget } from '../../../../src/sidecar/base/byte-budget.ts';
import { ConnectionShares, type PlaceHolder } from '../../../../src/sidecar/clients/connection-shares.ts';
import { Listener, type ResetCause } from '../../../../src/sidecar/clients/listener.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { orders } from '../tunnel/memory-driver.ts';

const admitted = (shares: ConnectionShares, name: string, times: number): number =>
  Array.from({ length: times }, () => shares.admit(name)).filter(Boolean).length;

test('a busy port leaves every other port its share: half of the maximum, divided by the ports', () => {
  const shares = new ConnectionShares(10, ['a', 'b'], new FakeClock());
  assert.equal(shares.share, 2);
  assert.equal(admitted(shares, 'a', 100), 8);
  assert.equal(admitted(shares, 'b', 100), 2);
  assert.equal(shares.open, 10);
  shares.release('b');
  assert.equal(admitted(shares, 'a', 1), 0, 'the share of b is not for a');
  assert.equal(admitted(shares, 'b', 2), 1);
});

test('a maximum too small for shares is for whoever comes first', () => {
  const shares = new ConnectionShares(3, ['a', 'b'], new FakeClock());
  assert.equal(admitted(shares, 'a', 9), 3);
  assert.deepEqual([shares.openOf('a'), shares.openOf('b'), shares.open], [3, 0, 3]);
  assert.equal(admitted(shares, 'b', 1), 0);
});

test('a port refuses from its first refusal until it has room and 10 s have passed without another', async () => {
  const clock = new FakeClock();
  const shares = new ConnectionShares(2, ['a'], clock);
  assert.equal(admitted(shares, 'a', 2), 2);
  assert.equal(shares.refusingSince('a'), undefined, 'full, but nobody was refused');
  shares.admit('a');
  const since = clock.date();
  await clock.advance(60_000);
  assert.deepEqual(shares.refusingSince('a'), since, 'there is still no room');
  shares.admit('a');
  shares.release('a');
  await clock.advance(9_000);
  assert.deepEqual(shares.refusingSince('a'), since);
  await clock.advance(1_000);
  assert.equal(shares.refusingSince('a'), undefined);
});

/** Takes clients of a port by itself, as long as it has places. */
class Holder implements PlaceHolder {
  open = 0;
  places = 0;

  setPlaces(places: number): void {
    assert(places >= this.open, 'it has more clients than places');
    this.places = places;
  }

  take(): boolean {
    if (this.open >= this.places) return false;
    this.open += 1;
    return true;
  }
}

test('places in advance refuse and admit exactly whom a question for each client would', () => {
  const names = ['a', 'b', 'c'];
  for (let seed = 1; seed <= 50; seed += 1) {
    const max = 1 + ((seed * 7) % 60);
    const [shares, asked] = [0, 1].map(() => new ConnectionShares(max, names, new FakeClock()));
    assert(shares !== undefined && asked !== undefined);
    const holders = new Map(names.slice(0, 2).map((name) => [name, new Holder()]));
    for (const [name, holder] of holders) shares.addHolder(name, holder);
    const own = new Map(names.map((name) => [name, 0]));
    let state = seed;
    const below = (limit: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((state / 2_147_483_648) * limit);
    };
    for (let step = 0; step < 600; step += 1) {
      const name = names[below(3)] ?? 'a';
      const holder = holders.get(name);
      const mine = own.get(name) ?? 0;
      if (below(100) < 55) {
        // Whom the holder has no place for, or gives up, is asked about.
        const isTaken: boolean = (below(4) > 0 && holder?.take() === true) || shares.admit(name);
        if (isTaken && shares.openOf(name) !== mine + (holder?.open ?? 0)) own.set(name, mine + 1);
        assert.equal(isTaken, asked.admit(name), `seed ${seed}, step ${step}`);
      } else if (holder !== undefined && holder.open > 0 && below(2) === 0) {
        holder.open -= 1;
        asked.release(name);
      } else if (mine > 0) {
        own.set(name, mine - 1);
        shares.release(name);
        asked.release(name);
      }
      assert.deepEqual(
        names.map((each): number => shares.openOf(each)),
        names.map((each): number => asked.openOf(each)),
      );
      assert(shares.open <= max);
    }
  }
});

interface Port extends AsyncDisposable {
  readonly resets: readonly ResetCause[];
  readonly dials: readonly string[];
  readonly failures: readonly TunnelError[];
  /** A client that sends nothing of its own and keeps what it receives. */
  client(): Promise<{ readonly socket: Socket; readonly received: () => string; readonly closed: Promise<boolean> }>;
}

/** One port that carries `max` connections to a silent destination. */
async function openPort(forward: Forward, max: number): Promise<Port> {
  const resets: ResetCause[] = [];
  const dials: string[] = [];
  const failures: TunnelError[] = [];
  const sockets: Socket[] = [];
  const listener = await Listener.open({
    forward,
    address: '127.0.0.1',
    dial: async ({ name }) => {
      dials.push(name);
      const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
      return { stream, signal: new AbortController().signal, via: 'a:22' };
    },
    optimisticDials: false,
    onDial: (_to, failure) => failure !== undefined && failures.push(failure),
    connections: new ConnectionShares(max, [forward.name], systemClock),
    budget: new ByteBudget(),
    log: silentLog(),
    observer: {
      accepted: () => undefined,
      traffic: () => ({ toDestination: 0, toClient: 0 }),
      reset: (_forward, cause) => void resets.push(cause),
    },
  });
  return {
    resets,
    dials,
    failures,
    client: async () => {
      const socket = connect(listener.address.port, '127.0.0.1');
      sockets.push(socket);
      let received = '';
      let isReset = false;
      socket.on('data', (chunk) => (received += chunk.toString('latin1')));
      socket.on('error', () => (isReset = true));
      const closed = new Promise<boolean>((resolve) => socket.once('close', () => resolve(isReset)));
      // A refused client may be reset before it knows that it was connected.
      await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), closed]);
      return { socket, received: () => received, closed };
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await listener.close();
    },
  };
}

test('one client too many is told ConnectionLimit in its own protocol; nothing is dialled, and the destination is not blamed', async () => {
  await using port = await openPort({ ...orders, appProtocol: 'mysql' }, 1);
  await port.client();
  const refused = await port.client();
  await refused.closed;
  assert.match(refused.received(), /portforward: this tunnel pod .* port 5432 .*\(ConnectionLimit\)$/);
  assert.deepEqual(port.resets, ['limit']);
  assert.equal(port.dials.length, 1);
  assert.deepEqual(port.failures, []);
});

test('at most 64 clients are told at the same time; the others get a reset at once', async () => {
  await using port = await openPort(orders, 1);
  await port.client();
  // PostgreSQL's client speaks first: each of these 64 is waited for.
  const told = [];
  for (let count = 0; count < 64; count += 1) told.push(await port.client());
  const surplus = await port.client();
  assert.equal(await surplus.closed, true, 'reset');
  assert.equal(surplus.received(), '');
  const [first] = told;
  assert(first !== undefined);
  const startup = Buffer.from('user\0postgres\0\0');
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + startup.length, 0);
  head.writeUInt32BE(3 << 16, 4);
  first.socket.end(Buffer.concat([head, startup]));
  await first.closed;
  assert.match(first.received(), /ConnectionLimit/);
  assert.equal(port.resets.length, 65);
});
