// A port whose clients the native engine accepts: what it carries, whom it gives up, and what becomes of those.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { fstatSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import type { Forward } from '../../../../src/contract/tunnel-config.ts';
import { createLog } from '../../../../src/process/log.ts';
import { ByteBudget } from '../../../../src/sidecar/base/byte-budget.ts';
import type { EarlierDial, NativeCarrier } from '../../../../src/sidecar/base/carrier.ts';
import { ConnectionShares } from '../../../../src/sidecar/clients/connection-shares.ts';
import { Listener } from '../../../../src/sidecar/clients/listener.ts';
import { acceptByEngine } from '../../../../src/sidecar/clients/native-clients.ts';
import { ListenerCounts } from '../../../../src/sidecar/listener-counts.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeCarrier, FakeEngine, type FakeListener } from '../../../support/fake-engine.ts';
import { orders } from '../tunnel/memory-driver.ts';

interface Dial {
  readonly earlier: EarlierDial | undefined;
  /** The far side of the stream that it got. */
  readonly far: Duplex;
}

interface Port extends AsyncDisposable {
  readonly listener: Listener;
  readonly engine: FakeListener;
  readonly carrier: FakeCarrier;
  readonly shares: ConnectionShares;
  readonly counts: ListenerCounts;
  /** Dials in JavaScript. */
  readonly dials: readonly Dial[];
  readonly answered: () => number;
  /** What the health of the destination hears, in order. */
  readonly outcomes: readonly string[];
  readonly lines: readonly string[];
  setCarriers(carriers: readonly NativeCarrier[]): void;
  silent(carrier: NativeCarrier): void;
  client(): Promise<Socket>;
}

async function openPort({ max = 100, forward = orders, dialFails = false }: Partial<Options> = {}): Promise<Port> {
  const engine = new FakeEngine({ budget: new Float64Array(2), budgetTotal: 1 });
  const counts = new ListenerCounts();
  const shares = new ConnectionShares(max, [forward.name], new FakeClock());
  const carrier = new FakeCarrier('a:22');
  const dials: Dial[] = [];
  const outcomes: string[] = [];
  const lines: string[] = [];
  const sockets: Socket[] = [];
  let [carriers, answered]: [readonly NativeCarrier[], number] = [[carrier], 0];
  const listeners = new Set<() => void>();
  const silences = new Set<(carrier: NativeCarrier) => void>();
  const log = createLog({ level: 'debug', destination: { write: (line) => void lines.push(line) } });
  const subscribed = <L>(set: Set<L>, listener: L) => {
    set.add(listener);
    return () => set.delete(listener);
  };
  const listener = await Listener.open({
    forward,
    openSource: acceptByEngine({
      engine,
      carriers: {
        of: () => carriers,
        onChange: (changed) => subscribed(listeners, changed),
        onSilent: (changed) => subscribed(silences, changed),
      },
      dialTimeoutMs: 10_000,
      connections: shares,
      cellsOf: (name) => counts.cellsOf(name),
      onAnswered: () => {
        answered += 1;
        outcomes.push('answered');
      },
      logsEnds: true,
    }),
    dial: async (_forward, _signal, earlier) => {
      if (dialFails) throw new TunnelError('DestinationRefused', 'orders.db:5432 refuses the connection');
      const [near, far] = duplexPair();
      dials.push({ earlier, far });
      return await Promise.resolve({ stream: near, signal: new AbortController().signal, via: 'a:22' });
    },
    optimisticDials: false,
    onDial: (_forward, failure) => void outcomes.push(failure?.code ?? 'answered'),
    connections: shares,
    budget: new ByteBudget(),
    log,
    observer: counts,
  });
  const [native] = engine.listeners;
  assert(native !== undefined);
  return {
    listener,
    engine: native,
    carrier,
    shares,
    counts,
    dials,
    answered: () => answered,
    outcomes,
    lines,
    setCarriers: (next) => {
      carriers = next;
      for (const changed of listeners) changed();
    },
    silent: (one) => {
      for (const listen of silences) listen(one);
    },
    client: async () => {
      const socket = connect({ port: listener.address.port, host: '127.0.0.1', allowHalfOpen: true });
      sockets.push(socket);
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await listener.close();
    },
  };
}

interface Options {
  readonly max: number;
  readonly forward: Forward;
  /** Every dial in JavaScript is refused. */
  readonly dialFails: boolean;
}

async function received(socket: Socket, bytes: number): Promise<string> {
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.length >= bytes) break;
  }
  return text;
}

const openOf = ({ shares }: Port): number => shares.openOf(orders.name);

test('a client of the engine is counted, and JavaScript dials nothing for it', async () => {
  await using port = await openPort();
  const client = await port.client();
  client.end('hello');
  assert.equal(await received(client, 6), 'hello');
  await port.listener.empty();
  assert.deepEqual([port.dials.length, port.answered(), openOf(port)], [0, 1, 0]);
  assert.deepEqual([...port.counts.connections()], [['postgres', 1]]);
  assert.deepEqual([...port.counts.bytes()], [['postgres', { toDestination: 5, toClient: 5 }]]);
  const ended = port.lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'connection ended');
  assert.deepEqual(
    [ended?.via, ended?.bytesToDestination, ended?.bytesToClient, ended?.durationMs, ended?.brokenBy],
    ['a:22', 1, 2, 1, undefined],
  );
});

test('without a session that carries, every client is dialled for in JavaScript, and gets all that it sent', async () => {
  await using port = await openPort();
  port.setCarriers([]);
  const client = await port.client();
  client.write('early');
  await until(() => port.dials.length === 1);
  assert.equal(port.dials[0]?.earlier, undefined);
  assert.equal(await received(port.dials[0]?.far as Socket, 5), 'early');
  assert.equal(openOf(port), 1);
});

test('a client whose dial failed goes on in JavaScript with that failure; nothing of it is lost', async () => {
  await using port = await openPort();
  port.carrier.farSide = { reason: 2, text: 'Connection refused' };
  const client = await port.client();
  client.write('early');
  await until(() => port.dials.length === 1);
  const { earlier, far } = port.dials[0] as Dial;
  assert.deepEqual(
    { ...earlier, carrier: undefined },
    {
      carrier: undefined,
      cause: 'refused',
      reason: 2,
      text: 'Connection refused',
      tookMs: 3,
    },
  );
  assert.equal(earlier?.carrier, port.carrier);
  assert.equal(await received(far as Socket, 5), 'early');
});

test('a client that nobody can carry is told the reason in its own protocol', async () => {
  await using port = await openPort({ forward: { ...orders, appProtocol: 'http' }, dialFails: true });
  port.carrier.farSide = { reason: 2, text: 'Connection refused' };
  const client = await port.client();
  client.write('GET / HTTP/1.1\r\n\r\n');
  const answer = await received(client, 200);
  assert.match(answer, /^HTTP\/1.1 503 .*DestinationRefused/s);
  assert.deepEqual([...port.counts.resets()], [['postgres', 'dial', 1]]);
});

test('a failure is heard of after the successes before it, though the engine tells them late', async () => {
  await using port = await openPort({ dialFails: true });
  port.engine.tellsAnswers = false;
  await port.client();
  await until(() => openOf(port) === 1);
  port.carrier.farSide = { reason: 2, text: 'Connection refused' };
  for (const failures of [1, 2]) {
    await port.client();
    await until(() => port.outcomes.filter((outcome) => outcome !== 'answered').length === failures);
  }
  // Its second is over.
  port.engine.tellAnswered();
  assert.deepEqual(port.outcomes, ['answered', 'DestinationRefused', 'DestinationRefused']);
  port.carrier.farSide = 'opens';
  await port.client();
  await until(() => port.engine.clients.length === 2);
  port.engine.tellAnswered();
  assert.equal(port.outcomes.at(-1), 'answered');
});

test('the failure of a lost session’s last client still finds its session', async () => {
  await using port = await openPort();
  port.carrier.farSide = 'waits';
  await port.client();
  await until(() => port.engine.clients.length === 1);
  port.setCarriers([]);
  const [client] = port.engine.clients;
  assert(client !== undefined);
  port.engine.giveUp(client, { cause: 'lost' });
  await until(() => port.dials.length === 1);
  assert.equal(port.dials[0]?.earlier?.carrier, port.carrier);
});

test('dials on a silent session are taken back, except those to MySQL', async () => {
  for (const appProtocol of ['postgresql', 'mysql'] as const) {
    await using port = await openPort({ forward: { ...orders, appProtocol } });
    port.carrier.farSide = 'waits';
    await port.client();
    await until(() => port.engine.clients.length === 1);
    port.silent(port.carrier);
    if (appProtocol === 'postgresql') {
      await until(() => port.dials.length === 1);
      assert.equal(port.dials[0]?.earlier?.cause, 'taken');
    } else {
      const other = await port.client();
      await until(() => port.engine.clients.length === 2);
      assert.deepEqual([port.dials.length, other.destroyed], [0, false]);
    }
  }
});

test('the maximum is exact over both paths, and a client beyond it is told so', async () => {
  await using port = await openPort({ max: 3, forward: { ...orders, appProtocol: 'mysql' } });
  const first = await port.client();
  await until(() => openOf(port) === 1);
  port.setCarriers([]);
  await port.client();
  await until(() => openOf(port) === 2);
  port.setCarriers([port.carrier]);
  await port.client();
  await until(() => openOf(port) === 3);
  const refused = await port.client();
  assert.match(await received(refused, 100), /ConnectionLimit/);
  assert.equal(openOf(port), 3);
  first.end();
  await until(() => openOf(port) === 2);
  await port.client();
  await until(() => openOf(port) === 3);
  assert.deepEqual([...port.counts.resets()], [['postgres', 'limit', 1]]);
});

test('a drain waits for the engine’s clients; what is left then is reset and counted', async () => {
  await using port = await openPort();
  const [first, second] = [await port.client(), await port.client()];
  await until(() => port.engine.clients.length === 2);
  port.listener.stopAccepting();
  let isEmpty = false;
  const emptied = port.listener.empty().then(() => (isEmpty = true));
  first.end();
  await until(() => port.engine.clients.length === 1);
  assert.equal(isEmpty, false);
  const broken = closed(second);
  await port.listener.close();
  await emptied;
  await broken;
  assert.equal(second.errored instanceof Error, true, 'a reset, not a clean end');
  assert.deepEqual([...port.counts.resets()], [['postgres', 'drain', 1]]);
});

test('a descriptor that Node does not take is closed, and harms nobody', async () => {
  await using port = await openPort();
  const fd = openSync('/dev/null', 'r');
  port.engine.giveUpDescriptor(fd);
  assert.throws(() => fstatSync(fd), { code: 'EBADF' });
  assert(port.lines.some((line) => line.includes('a client could not be taken over')));
  (await port.client()).end('x');
  await port.listener.empty();
});

test('a client that is given up while the port closes is reset', async () => {
  await using port = await openPort();
  port.carrier.farSide = 'waits';
  const socket = await port.client();
  await until(() => port.engine.clients.length === 1);
  const [client] = port.engine.clients;
  assert(client !== undefined);
  port.engine.resetAll = () => {
    if (port.engine.clients.includes(client)) port.engine.giveUp(client, { cause: 'lost' });
  };
  const broken = closed(socket);
  await port.listener.close();
  await broken;
  assert.equal(port.dials.length, 0);
  assert.deepEqual([...port.counts.resets()], [['postgres', 'drain', 1]]);
});

/** A reset client reports an error before it closes. */
async function closed(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

/** Waits for what happens in another turn of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
