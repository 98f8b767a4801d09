// Session Manager's web sockets come and go, sessions and their connections stay: cuts, the hourly close, the agent's own reconnect, and
// credentials that expire in between. Each test has a service of its own, so they run side by side; each prints its figures.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { echo, type Service, serve } from '../driver-suite/destinations.ts';
import { portOf } from '../integration/sidecar/sidecar-world.ts';
import { assertEvery } from '../support/assert-every.ts';
import { judge } from './budget.ts';
import { queryUntil } from './ssm-clients.ts';
import { DatabaseMachine } from './ssm-database.ts';
import { answers, connectionsFor, openToEcho } from './ssm-echo.ts';
import { instance, keyFiles, SsmTunnel, type TunnelOptions } from './ssm-tunnel.ts';

const name = 'orders.db.internal';
let machine: DatabaseMachine;

before(async () => {
  machine = await DatabaseMachine.start();
});

after(async () => {
  await machine.stop();
});

async function openToDatabase({ switches, ...options }: Partial<TunnelOptions> = {}): Promise<SsmTunnel> {
  return await SsmTunnel.open({
    forwards: [{ port: 5432, destination: { host: name, port: 5432 }, appProtocol: 'postgresql', health: 'Active' }],
    ...options,
    switches: { Hosts: { [name]: await machine.newAddress() }, ...switches },
  });
}

/** Runs `work` every `everyMs` until the signal aborts. */
async function every(everyMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<number> {
  let times = 0;
  for (;;) {
    await delay(everyMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return times;
    await work();
    times += 1;
  }
}

suite('sockets come and go', { concurrency: true }, () => {
  test('the socket cut every 2 s for two minutes: no query fails', async (t) => {
    await using tunnel = await openToDatabase();
    const over = AbortSignal.timeout(120_000);
    const [load, cuts] = await Promise.all([
      queryUntil(machine.postgres, tunnel.port, over),
      every(2_000, over, () => tunnel.service.order('cut')),
    ]);
    t.diagnostic(
      `${cuts} cuts: ${load.kept} queries on one connection and ${load.fresh} on new ones, none failed; the slowest took ${Math.round(load.slowestMs)} ms`,
    );
    assert.ok(cuts >= 40 && load.kept >= 200 && load.fresh >= 200);
    // On a busy machine a cut may come while there is no socket: it needs no resume.
    await eventually('the resumes', async () => (await tunnel.calls('ResumeSession')) >= 0.9 * cuts);
    assert.equal(await tunnel.calls('StartSession'), 1, 'one session lived through all of it');
  });

  test('the service’s hourly close, here every 4 s under load: no connection is dropped', async (t) => {
    await using tunnel = await openToDatabase({ switches: { ByeAfterMs: 4_000 } });
    const load = await queryUntil(machine.postgres, tunnel.port, AbortSignal.timeout(60_000), 20);
    const resumed = await tunnel.calls('ResumeSession');
    t.diagnostic(
      `${resumed} closes: ${load.kept} queries on one connection and ${load.fresh} on new ones, none failed; the slowest took ${Math.round(load.slowestMs)} ms`,
    );
    assert.ok(resumed >= 10);
    assert.equal(await tunnel.calls('StartSession'), 1);
  });

  test('the agent is 10 s without its own socket: open streams live on and no byte is lost', async (t) => {
    await using up = await serving(echo);
    await using down = await serving(ticking);
    await using tunnel = await SsmTunnel.open({ forwards: [{ port: up.port }, { port: down.port }] });
    const talker = await Listening.to(portOf(tunnel.sidecar, 0));
    const hearer = await Listening.to(portOf(tunnel.sidecar, 1));
    let said = 0;
    const talk = new AbortController();
    const talked = every(50, talk.signal, async () => {
      talker.socket.write(numbered(said));
      said += 1;
    });
    await delay(2_000);
    const from = performance.now();
    await tunnel.service.order('reconnect', 10_000);
    await delay(9_900);
    const backAt = from + 10_000;
    await Promise.all([talker.next(), hearer.next()]);
    judge(t, 'from the agent’s return to the first bytes of both', performance.now() - backAt, 5_000);
    // The agent repeats what it could not send, one message every 100 ms.
    await delay(10_000);
    talk.abort();
    await talked;
    while (talker.lines < said) await talker.next();
    assert.equal(talker.text, allNumbered(said));
    // A part of the next line may be here.
    assert.equal(hearer.text, allNumbered(hearer.lines + 1).slice(0, hearer.text.length));
    assert.ok(hearer.lines >= 60, `${hearer.lines} lines of the destination`);
    const silence = Math.round(Math.max(talker.longestGapMs, hearer.longestGapMs));
    t.diagnostic(
      `longest silence ${silence} ms; ${said} lines there and back, ${hearer.lines} of the destination, all in order`,
    );
    talker.socket.destroy();
    hearer.socket.destroy();
  });

  test('the account’s limit on the life of a session is learned from the first end: clients notice no later one', async (t) => {
    // A limit below two minutes is never learned.
    await using world = await openToEcho({ switches: { MaxSessionMs: 125_000 } });
    const { tunnel } = world;
    const first = tunnel.sessionInUse;
    await connectionsFor(tunnel.port, 115_000);
    const isOver = async (): Promise<boolean> => !(await tunnel.sessions()).some(({ id }) => id === first);
    await eventually('the end of the first session', isOver, 60_000);
    const from = performance.now();
    await answers(tunnel.port);
    t.diagnostic(
      `after the first end, which nobody could foresee, a connection took ${Math.round(performance.now() - from)} ms`,
    );
    const second = tunnel.sessionInUse;
    const { count, slowestMs } = await connectionsFor(tunnel.port, 90_000);
    t.diagnostic(
      `the next session was replaced in time: ${count} connections, none failed; the slowest took ${Math.round(slowestMs)} ms`,
    );
    assert.ok(slowestMs < 10_000);
    const others = (await tunnel.sessions()).filter(({ id }) => id !== second);
    assert.notDeepEqual(others, [], 'half a minute before the end of the second there was no other');
  });

  test('credentials that expire end no session; the next ones in the files are used', async (t) => {
    const old = { accessKeyId: 'AKIDOLD', secretAccessKey: 'old-secret', sessionToken: 'old-token' };
    const next = { accessKeyId: 'AKIDNEXT', secretAccessKey: 'next-secret', sessionToken: 'next-token' };
    const keys = (expired: boolean) => ({
      AKIDOLD: { Secret: old.secretAccessKey, Token: old.sessionToken, User: 'operator', Expired: expired },
      AKIDNEXT: { Secret: next.secretAccessKey, Token: next.sessionToken, User: 'operator' },
    });
    await using tunnel = await openToDatabase({ keys: keyFiles(old), switches: { Keys: keys(false) } });
    const over = AbortSignal.timeout(25_000);
    const load = queryUntil(machine.postgres, tunnel.port, over, 50);
    load.catch(() => undefined);
    await delay(2_000);
    await tunnel.service.set({ Keys: keys(true) });
    await delay(3_000);
    assert.equal(await tunnel.calls('StartSession'), 1);
    // Now the expired keys are needed, and refused.
    await tunnel.service.order('cut');
    const refused = async (): Promise<boolean> => (await tunnel.calls('ResumeSession:ExpiredTokenException')) >= 2;
    await eventually('the expired keys are refused', refused);
    const written = performance.now();
    const resumed = await tunnel.calls('ResumeSession');
    tunnel.secret.write(keyFiles(next));
    await eventually('a resume with the new keys', async () => (await tunnel.calls('ResumeSession')) > resumed);
    judge(t, 'from the new keys in the files to the session resumed with them', performance.now() - written, 6_000);
    const { kept, fresh, slowestMs } = await load;
    t.diagnostic(
      `${kept} queries on one connection and ${fresh} on new ones, none failed; the slowest took ${Math.round(slowestMs)} ms`,
    );
    assertEvery(await tunnel.sessions(), ({ target }) => target === instance, 'each session leads to the instance');
  });
});

const numbered = (index: number): string => `${index} ${'x'.repeat(90)}\n`;
const allNumbered = (count: number): string => Array.from({ length: count }, (_, index) => numbered(index)).join('');

/** A destination that sends a numbered line 5 times a second. */
const ticking = (socket: Socket): void => {
  let said = 0;
  const timer = setInterval(() => {
    socket.write(numbered(said));
    said += 1;
  }, 200);
  socket.once('close', () => clearInterval(timer));
};

async function serving(handle: (socket: Socket) => void): Promise<Service & AsyncDisposable> {
  const service = await serve(handle);
  return { ...service, [Symbol.asyncDispose]: () => service.stop() };
}

/** A client that stores what it receives. */
class Listening {
  readonly socket: Socket;
  text = '';
  lines = 0;
  longestGapMs = 0;
  #heardAt = performance.now();

  static async to(port: number): Promise<Listening> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Listening(socket);
  }

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.longestGapMs = Math.max(this.longestGapMs, performance.now() - this.#heardAt);
      this.#heardAt = performance.now();
      this.text += text;
      this.lines += text.split('\n').length - 1;
    });
  }

  /** Resolves with the next bytes. @throws when the connection breaks. */
  async next(): Promise<void> {
    await once(this.socket, 'data', { signal: AbortSignal.timeout(40_000) });
  }
}
