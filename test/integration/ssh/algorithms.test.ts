// Each algorithm that we offer, alone, against a real sshd: before and after key re-exchanges, with ssh2's native crypto and without it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { progressOn } from '../../../lab/base/progress.ts';
import { generateKey, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { ensureOpensshTen } from '../../../lab/programs/openssh-ten.ts';
import {
  ciphers,
  hostKeySignatures,
  keyExchanges,
  macs,
  namesOf,
} from '../../../src/sidecar/drivers/ssh/login/algorithms.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import type { Visit, Visitor } from './algorithm-worker.ts';
import { connectOnce, hopTo, SecretDirectory } from './ssh-world.ts';

/** What one turn may cost: docs/promises.md, promise 10. A busy machine gets three times as much. */
const turnMs = 50;

/** Several exchanges within the bytes of one visit. */
const rekeys = 'RekeyLimit 64K';

const configurations: readonly (readonly string[])[] = [
  ...namesOf(keyExchanges).map((name) => [`KexAlgorithms ${name}`]),
  ...namesOf(ciphers).map((name) => [`Ciphers ${name}`]),
  ...namesOf(macs).map((name) => ['Ciphers aes256-ctr', `MACs ${name}`]),
  ...['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'].flatMap((type) =>
    (hostKeySignatures[type] ?? []).map((name) => [`HostKeyAlgorithms ${name}`]),
  ),
];

describe('the algorithms that are offered', { timeout: 300_000 }, () => {
  let sshd: Sshd;
  let secret: SecretDirectory;
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket).on('error', () => undefined));
  /** Ended newest first, also where a later start failed. */
  const started = new AsyncDisposableStack();
  after(async () => await started.disposeAsync());
  before(async () => {
    // The machine's own has not all of them.
    sshd = started.adopt(
      await startSshd({ release: await ensureOpensshTen(progressOn()) }),
      async (it) => await it.stop(),
    );
    const key = await generateKey(sshd.directory);
    sshd.authorize([key.publicKey]);
    secret = started.use(new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: sshd.knownHosts() }));
    await once(echo.listen(0, '127.0.0.1'), 'listening');
    started.defer(() => void echo.close());
  });

  test('carry bytes across key re-exchanges, natively and in JavaScript', async (t) => {
    const { port: echoPort } = echo.address() as { port: number };
    const visitor = { port: sshd.port, echoPort, knownHosts: sshd.knownHosts(), directory: secret.directory };
    const workers = [true, false].map((native) => {
      const workerData: Visitor = { native, ...visitor };
      return { native, thread: new Worker(new URL('./algorithm-worker.ts', import.meta.url), { workerData }) };
    });
    t.after(() => Promise.all(workers.map(({ thread }) => thread.terminate())));
    const turns: string[] = [];
    for (const lines of configurations) {
      await sshd.configure([...lines, rekeys]);
      for (const { native, thread } of workers) {
        const name = `${lines.join(', ')}, ${native ? 'native' : 'JavaScript'}`;
        thread.postMessage('visit');
        const [visit] = (await once(thread, 'message')) as [Visit | Error];
        if (visit instanceof Error) throw new Error(name, { cause: visit });
        assert.equal(
          visit.native,
          native,
          'ssh2’s native crypto is not built here: any npm command of the table builds it',
        );
        assert.ok(visit.keyExchanges > 2, `${name}: ${visit.keyExchanges} key exchanges`);
        assert.ok(visit.longestTurnMs < 3 * turnMs, `${name}: ${visit.longestTurnMs} ms in one turn`);
        turns.push(`${name} ${visit.longestTurnMs.toFixed(1)}`);
      }
    }
    t.diagnostic(`longest turns in ms: ${turns.join('; ')}`);
  });

  test('leave out group exchange: a bastion with nothing else is told at once, without CPU', async () => {
    await sshd.configure(['KexAlgorithms diffie-hellman-group-exchange-sha256', 'Ciphers aes256-ctr']);
    const start = process.cpuUsage();
    await assert.rejects(connectOnce(sshConfig([hopTo(sshd, secret)])), {
      code: 'HandshakeFailed',
      message: /key exchange/,
    });
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < 1_500_000, `${(user + system) / 1000} ms of CPU`);
  });
});
