// Several bastions that differ, and a tunnel that is open only while it is used.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import type { Sidecar } from '../../../src/sidecar/sidecar.ts';
import { type Service, echo as sendBack, serve } from '../../driver-suite/destinations.ts';
import {
  type Bastion,
  type ConfigOptions,
  client,
  openSidecar,
  startBastion,
  tunnelConfig,
  until,
} from './sidecar-world.ts';

let open: Bastion;
let strict: Bastion;
let echo: Service;

/** Ended newest first, also where a later start failed. */
const started = new AsyncDisposableStack();
after(async () => await started.disposeAsync());

before(async () => {
  const bastion = async (options?: Parameters<typeof startBastion>[0]): Promise<Bastion> =>
    started.adopt(await startBastion(options), async (it) => await it.stop());
  open = await bastion();
  strict = await bastion({ config: ['PermitOpen 127.0.0.1:1'] });
  echo = started.adopt(await serve(sendBack), async (it) => await it.stop());
});

async function through(
  bastions: readonly Bastion[],
  options: Partial<ConfigOptions>,
  use: (sidecar: Sidecar) => Promise<void>,
): Promise<void> {
  const { port } = echo;
  const sidecar = await openSidecar(
    tunnelConfig(
      bastions.map(({ hop }) => hop),
      { forwards: [{ port }], ...options },
    ),
  );
  try {
    await use(sidecar);
  } finally {
    await sidecar.stop();
  }
}

async function echoes(sidecar: Sidecar, meanwhile?: () => void): Promise<void> {
  const socket = await client(sidecar);
  socket.write('hello');
  assert.equal(String((await once(socket, 'data'))[0]), 'hello');
  meanwhile?.();
  socket.destroy();
}

test('a destination that the first bastion prohibits is reached through the second, for clients and for health', async () => {
  const { port } = echo;
  await through([strict, open], { forwards: [{ port, health: 'Passive' }] }, async (sidecar) => {
    // On a busy machine the second, which is tried a quarter of a second later, may be there first; the first then takes over.
    await until(sidecar, () => sidecar.status().via === `127.0.0.1:${strict.sshd.port}`);
    await echoes(sidecar);
    await until(sidecar, () => sidecar.status().ports[0]?.reachable === true);
    assert.equal(sidecar.status().via, `127.0.0.1:${strict.sshd.port}`, 'the first stays the first for other forwards');
  });
});

test('an idle tunnel holds no session, the first client opens it, and it closes after the idle timeout', async () => {
  const connection = { mode: 'OnDemand', idleTimeoutSeconds: 0.5 } as const;
  await through([open], { connection }, async (sidecar) => {
    assert.equal(sidecar.status().state, 'Idle');
    await until(sidecar, () => open.sshd.sessions().length === 0);
    const ready = await fetch(`http://127.0.0.1:${sidecar.adminPort}/readyz`);
    assert.equal(ready.status, 200);
    await ready.body?.cancel();
    await echoes(sidecar, () => assert.equal(sidecar.status().state, 'Connected'));
    await until(sidecar, () => sidecar.status().state === 'Idle');
    await until(sidecar, () => open.sshd.sessions().length === 0);
    await echoes(sidecar);
  });
});
