// Sessions that end or should end: an agent that falls silent, an account's limits on duration and idle time, a refused resume, a throttled
// start. Every test has a service of its own, so they run side by side; each prints its figures.
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import { echo, serve } from '../driver-suite/destinations.ts';
import { endOf, portOf, until, untilConnected } from '../integration/sidecar/sidecar-world.ts';
import { watchLoop } from '../support/watch-loop.ts';
import { judge } from './budget.ts';
import { answers, client, connectionsFor, hears, openToEcho } from './ssm-echo.ts';
import { SsmTunnel } from './ssm-tunnel.ts';

const lostBytes = 250 * 1024;

suite('sessions that end', { concurrency: true }, () => {
  test('a silent agent: others carry at 8 s, resumed at once, ended with a reset once its node has answered elsewhere', async (t) => {
    await using world = await openToEcho();
    const { tunnel } = world;
    const [waiting, talking] = [await client(tunnel.port), await client(tunnel.port)];
    await hears(waiting);
    await hears(talking);
    const ends = Promise.all([endOf(waiting), endOf(talking)]);
    const resumed = await tunnel.calls('ResumeSession');
    using loop = watchLoop();
    // The agent vanishes for a moment: its sessions stay as zombies, new ones can be started.
    await tunnel.service.order('vanish', 1);
    const from = performance.now();
    talking.write('is anybody there');
    const carried = eventually(
      'a new connection',
      () =>
        answers(tunnel.port, 1_000).then(
          () => true,
          () => false,
        ),
      30_000,
    );
    const asked = eventually('ResumeSession', async () => (await tunnel.calls('ResumeSession')) > resumed, 90_000);
    // Silence counts from the last sign of life, which is at most 4 s old.
    judge(t, 'new connections carried by another session after', await carried, 10_000);
    const askedMs = await asked;
    t.diagnostic(`the silent session resumed after ${Math.round(askedMs)} ms, promised after 8 s of silence`);
    assert.ok(askedMs < 20_000 || loop.overslept);
    assert.deepEqual(await ends, ['ECONNRESET', 'ECONNRESET']);
    const tookMs = performance.now() - from;
    t.diagnostic(
      `open connections reset after ${Math.round(tookMs)} ms, promised once another session has lasted as long as the silence before it, at least 6 s`,
    );
    assert.ok(tookMs > 8_000, 'an agent has 6 s to speak after its node has answered elsewhere');
    assert.ok(tookMs < 40_000 || loop.overslept, `${tookMs} ms`);
    await answers(tunnel.port);
    await eventually('the zombie ended at the service', async () => (await tunnel.sessions()).length === 1);
  });

  test('an agent loses its connection while it sends: it repeats for long, others carry meanwhile, and no byte is lost', async (t) => {
    const far: Socket[] = [];
    const service = await serve((socket) => {
      far.push(socket);
      echo(socket);
    });
    try {
      await using tunnel = await SsmTunnel.open({ forwards: [{ port: service.port }] });
      const listening = await client(tunnel.port);
      await hears(listening);
      // The agent makes connections side by side: with two at once, either could be the first.
      const [listened] = far;
      const talking = await client(tunnel.port);
      await hears(talking);
      let received = 0;
      listening.on('data', (bytes: Buffer) => {
        received += bytes.length;
      });
      await tunnel.service.order('reconnect', 3_000);
      const backAt = performance.now() + 3_000;
      // 250 messages into the void, of which the agent repeats ten a second.
      listened?.write(Buffer.alloc(lostBytes));
      const echoed = hears(talking, 60_000);
      await delay(backAt + 4_500 - performance.now());
      const from = performance.now();
      await answers(tunnel.port, 60_000);
      judge(t, 'a new connection 4.5 s after the agent’s return: its answer', performance.now() - from, 5_000);
      assert.ok(received < lostBytes, 'meanwhile the agent repeats');
      await eventually('every byte', () => received === lostBytes, 60_000);
      t.diagnostic(`every byte was here ${Math.round(performance.now() - backAt)} ms after the agent’s return`);
      await echoed;
      await hears(listening);
      assert.equal(await tunnel.calls('StartSession'), 2);
    } finally {
      await service.stop();
    }
  });

  test('a session is replaced before its maximum duration: no connection fails', async (t) => {
    // 18 s, in the document and in the account.
    await using world = await openToEcho({ ssm: { maxSessionMinutes: 0.3 }, switches: { MaxSessionMs: 18_000 } });
    const { tunnel } = world;
    const { count, slowestMs } = await connectionsFor(tunnel.port, 50_000);
    const started = await tunnel.calls('StartSession');
    t.diagnostic(
      `${started} sessions of 18 s: ${count} connections, none failed; the slowest took ${Math.round(slowestMs)} ms`,
    );
    assert.ok(started >= 4);
    assert.ok(slowestMs < 10_000);
  });

  test('an idle session is kept alive past its idle timeout', async (t) => {
    await using world = await openToEcho({ switches: { IdleTimeoutMs: 12_000 } });
    const { tunnel } = world;
    const idle = await client(tunnel.port);
    await hears(idle);
    await delay(60_000);
    await hears(idle);
    idle.destroy();
    assert.equal(await tunnel.calls('StartSession'), 1);
    t.diagnostic('60 s without a byte at an idle timeout of 12 s: the same session, the same connection');
  });

  test('OnDemand, an idle session ends at the service: the next client is carried', async (t) => {
    const service = await serve(echo);
    try {
      await using tunnel = await SsmTunnel.start({
        forwards: [{ port: service.port }],
        connection: { mode: 'OnDemand' },
        switches: { IdleTimeoutMs: 3_000 },
      });
      await answers(tunnel.port, 15_000);
      await eventually('the idle session ended', async () => (await tunnel.sessions()).length === 0, 60_000);
      const from = performance.now();
      await answers(tunnel.port, 15_000);
      judge(t, 'the next client after the idle end', performance.now() - from, 5_000);
    } finally {
      await service.stop();
    }
  });

  test('a refused ResumeSession is reported at the start, with the missing action', async (t) => {
    const denied = { ResumeSession: { Type: 'AccessDeniedException', Message: 'no' } };
    await using tunnel = await SsmTunnel.start({ forwards: [{ port: 5432 }], switches: { Errors: denied } });
    const from = performance.now();
    await until(tunnel.sidecar, () => tunnel.sidecar.status().reason === 'ResumeDenied');
    judge(t, 'reported after', performance.now() - from, 10_000);
    assert.match(tunnel.sidecar.status().message ?? '', /ssm:ResumeSession/);
    await tunnel.service.set({ Errors: {} });
  });

  test('a throttled StartSession: every one of 24 ports comes up, one session after the other', async (t) => {
    const services = await Promise.all(Array.from({ length: 24 }, () => serve(echo)));
    try {
      const from = performance.now();
      await using tunnel = await SsmTunnel.start({
        forwards: services.map(({ port }) => ({ port })),
        switches: { StartGapMs: 400 },
      });
      await untilConnected(tunnel.sidecar, 120_000);
      t.diagnostic(`connected after ${Math.round(performance.now() - from)} ms`);
      await eventually(
        'every port answers',
        async () => {
          const results = await Promise.allSettled(
            services.map((_, index) => answers(portOf(tunnel.sidecar, index), 2_000)),
          );
          return results.every(({ status }) => status === 'fulfilled');
        },
        120_000,
      );
      t.diagnostic(
        `all 24 ports after ${Math.round(performance.now() - from)} ms; ${await tunnel.calls('StartSession')} calls of StartSession, the rest throttled`,
      );
      await eventually('24 sessions, no more', async () => (await tunnel.sessions()).length === 24);
    } finally {
      await Promise.all(services.map((service) => service.stop()));
    }
  });
});
