// What is refused again and again costs the account few sessions: each StartSession is a call of its quota and a process on the node. Prints how
// many there were in 30 s for each kind of refusal. Every test has a service of its own, so they run side by side.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { echo, serve } from '../driver-suite/destinations.ts';
import { portOf, until } from '../integration/sidecar/sidecar-world.ts';
import type { Switches } from '../support/ssm/session-manager.ts';
import { answers } from './ssm-echo.ts';
import { SsmTunnel } from './ssm-tunnel.ts';

interface Refusal {
  readonly kind: string;
  readonly host: string;
  readonly switches: Switches;
  /** The most calls in 30 s. */
  readonly most: number;
}

const refusals: readonly Refusal[] = [
  { kind: 'an unknown name', host: 'nobody.internal', switches: { Hosts: { 'nobody.internal': '' } }, most: 4 },
  { kind: 'an address that the agent denies', host: '169.254.169.254', switches: {}, most: 1 },
  {
    kind: 'a node that is not connected',
    host: 'db.internal',
    switches: { Nodes: { 'i-0123456789abcdef0': { Connected: false } } },
    most: 7,
  },
  {
    kind: 'StartSession denied',
    host: 'db.internal',
    switches: { Errors: { StartSession: { Type: 'AccessDeniedException' } } },
    most: 1,
  },
  {
    kind: 'the data channel refused',
    host: 'db.internal',
    switches: { Errors: { OpenDataChannel: { Type: 'Refused', Status: 503 } } },
    most: 7,
  },
  { kind: 'an agent that is too old', host: 'db.internal', switches: { AgentVersion: '3.1.1200.0' }, most: 1 },
  { kind: 'messages of 16 KiB not carried', host: 'localhost', switches: { LargestPayload: 4_096 }, most: 2 },
  { kind: 'encryption demanded', host: 'db.internal', switches: { KMS: true }, most: 1 },
];

suite('refusals cost few sessions', { concurrency: true }, () => {
  for (const { kind, host, switches, most } of refusals) {
    test(`${kind}: at most ${most} StartSession in 30 s`, async (t) => {
      await using tunnel = await SsmTunnel.start({
        forwards: [{ port: 5432, destination: { host, port: 5432 } }],
        switches,
      });
      await delay(30_000);
      const seen = Object.entries((await tunnel.service.seen()).calls);
      // A refused call is counted with its error.
      const calls = seen.reduce((sum, [name, count]) => sum + (name.startsWith('StartSession') ? count : 0), 0);
      t.diagnostic(`${kind}: ${calls} StartSession in 30 s`);
      assert.ok(calls >= 1 && calls <= most, `${calls} calls`);
    });
  }

  test('a name that the node does not know is told, holds up no other port, and is carried once it is known', async (t) => {
    const known = await serve(echo);
    try {
      await using tunnel = await SsmTunnel.start({
        forwards: [
          { port: known.port },
          {
            port: known.port,
            name: 'later',
            health: 'Active',
            destination: { host: 'later.internal', port: known.port },
          },
        ],
        switches: { Hosts: { 'later.internal': '' } },
      });
      await until(tunnel.sidecar, () => tunnel.sidecar.status().state === 'Connected');
      await answers(portOf(tunnel.sidecar, 0), 10_000);
      const told = () => tunnel.sidecar.status().ports.some((port) => port.reason === 'DestinationNameNotResolved');
      await assert.rejects(answers(portOf(tunnel.sidecar, 1), 10_000));
      await until(tunnel.sidecar, told);
      const from = performance.now();
      await tunnel.service.set({ Hosts: { 'later.internal': '127.0.0.1' } });
      for (;;) {
        if (
          await answers(portOf(tunnel.sidecar, 1), 2_000).then(
            () => true,
            () => false,
          )
        )
          break;
        assert.ok(performance.now() - from < 90_000, 'it is never carried');
        await delay(500);
      }
      t.diagnostic(`carried ${Math.round(performance.now() - from)} ms after the name was known`);
    } finally {
      await known.stop();
    }
  });
});
