// The tunnel notices by itself what changes beyond it: a destination that was silent, a node that was replaced, a database that failed
// over. New connections are carried again within the promised times; each test prints its figures. Every test has a service and
// addresses of its own, so some run side by side.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ForwardOptions, until } from '../integration/sidecar/sidecar-world.ts';
import { judge } from './budget.ts';
import { query, untilCarried } from './ssm-clients.ts';
import { DatabaseMachine } from './ssm-database.ts';
import { SsmTunnel, type TunnelOptions } from './ssm-tunnel.ts';

const name = 'orders.db.internal';
let machine: DatabaseMachine;

before(async () => {
  machine = await DatabaseMachine.start();
});

after(async () => {
  await machine.stop();
});

/** To the database. Passive, as for a protocol that the tunnel does not know. */
function forward(health: 'Active' | 'Passive'): ForwardOptions {
  const appProtocol = health === 'Active' ? 'postgresql' : 'tcp';
  return { port: 5432, destination: { host: name, port: 5432 }, appProtocol, health };
}

async function openToDatabase(address: string, options: Partial<TunnelOptions> = {}): Promise<SsmTunnel> {
  const tunnel = await SsmTunnel.open({
    forwards: [forward('Active')],
    ...options,
    switches: { Hosts: { [name]: address }, ...options.switches },
  });
  assert.equal(await query(machine.postgres, tunnel.port), address);
  return tunnel;
}

/** A client every half second: each leaves a connection that the agent must still open. Clients that still wait end with the signal. */
async function knock(port: number, patienceMs: number, signal: AbortSignal): Promise<void> {
  const clients: Promise<unknown>[] = [];
  while (!signal.aborted) {
    clients.push(query(machine.postgres, port, patienceMs, signal).catch(() => undefined));
    await delay(500);
  }
  await Promise.all(clients);
}

// Four at once: each starts five psql a second, and all eleven together keep a busy machine from answering any of them in time.
suite('the far side changes', { concurrency: 4 }, () => {
  for (const [health, meanwhile, patienceMs] of [
    ['Active', 'nobody meanwhile', 0],
    ['Active', 'clients that wait 3 s', 3_000],
    ['Passive', 'clients that wait on', 60_000],
  ] as const) {
    const title = `${health}, ${meanwhile}`;
    test(`a destination silent for 30 s (${title}): new connections within 10 s of its return`, async (t) => {
      const address = await machine.newAddress();
      await using tunnel = await openToDatabase(address, { forwards: [forward(health)] });
      await machine.silence(address);
      const silent = AbortSignal.timeout(30_000);
      await (patienceMs === 0 ? delay(30_000) : knock(tunnel.port, patienceMs, silent));
      await machine.heal(address);
      const { firstMs, allMs } = await untilCarried(machine.postgres, tunnel.port, 30_000);
      judge(t, `${title}: the first new connection after the return`, firstMs, 10_000);
      judge(t, `${title}: every new connection after the return`, allMs, 10_000);
      t.diagnostic(`${title}: ${await tunnel.calls('StartSession')} sessions were started in all`);
    });
  }

  for (const [how, order] of [
    ['vanished without a word', 'vanish'],
    ['went away and its sessions were ended', 'evict'],
  ] as const) {
    test(`a node that ${how} is replaced by one that is connected: new connections within 10 s`, async (t) => {
      const Tags = { Role: 'bastion' };
      const before = { 'i-0000000000000000a': { Connected: true, Tags } };
      await using tunnel = await openToDatabase(await machine.newAddress(), {
        switches: { Nodes: before },
        ssm: { target: { tags: Tags } },
      });
      await tunnel.service.set({ Nodes: { ...before, 'i-0000000000000000b': { Connected: true, Tags } } });
      await delay(1_000);
      await tunnel.service.order(order, 0, 'i-0000000000000000a');
      const { firstMs, allMs } = await untilCarried(machine.postgres, tunnel.port, 30_000);
      await until(tunnel.sidecar, () => tunnel.sidecar.status().via === 'i-0000000000000000b');
      judge(t, `${how}: the first new connection through the other node`, firstMs, 10_000);
      judge(t, `${how}: every new connection`, allMs, 10_000);
    });
  }

  for (const [how, health, patienceMs] of [
    ['refuse', 'Active', 4_000],
    ['refuse', 'Passive', 4_000],
    ['silence', 'Active', 4_000],
    ['silence', 'Active', 60_000],
    ['silence', 'Passive', 4_000],
    ['silence', 'Passive', 60_000],
  ] as const) {
    const state = { refuse: 'refuses', silence: 'is silent' }[how];
    const title = `the old address ${state}, ${health}, clients that wait ${patienceMs / 1000} s`;
    test(`the destination’s name has another address (${title}): new connections within 30 s`, async (t) => {
      const [before, later] = [await machine.newAddress(), await machine.newAddress()];
      await using tunnel = await openToDatabase(before, { forwards: [forward(health)] });
      await machine[how](before);
      await tunnel.service.set({ Hosts: { [name]: later } });
      const accept = (address: string): boolean => address === later;
      const { firstMs, allMs } = await untilCarried(machine.postgres, tunnel.port, 90_000, { accept, patienceMs });
      judge(t, `${title}: the first connection to the new one`, firstMs, 30_000);
      judge(t, `${title}: every new connection`, allMs, 30_000);
    });
  }
});
