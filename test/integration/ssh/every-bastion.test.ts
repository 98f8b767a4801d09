// Every kind of bastion that people have: OpenSSH of two generations, Dropbear, and servers on Go's library, asyncssh and paramiko. Each one
// lets in, refuses, and carries bytes across key re-exchanges.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { progressOn } from '../../../lab/base/progress.ts';
import { generateKey, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { ensureOpensshTen } from '../../../lab/programs/openssh-ten.ts';
import { agreedOn } from '../../../src/sidecar/drivers/ssh/base/ssh2-hardening.ts';
import { CredentialStore } from '../../../src/sidecar/drivers/ssh/login/credentials.ts';
import { connectTcp } from '../../../src/sidecar/drivers/ssh/login/tcp-connect.ts';
import { closedPort, echo, serve } from '../../driver-suite/destinations.ts';
import { type OtherBastion, type OtherKind, startOtherBastion } from '../../support/bastions/bastions.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { countedSession } from './counted-session.ts';
import { connectOnce, hopTo, SecretDirectory } from './ssh-world.ts';

const mebibyte = 1024 * 1024;
const sentBytes = 64 * mebibyte;
const rekeyBytes = 8 * mebibyte;

interface Kind {
  readonly name: string;
  /** How it begins its version line. */
  readonly version: RegExp;
  /** What both agree on if the bastion has its defaults. */
  readonly keyExchange: string;
  /** False if it cannot be told to exchange keys: then the tunnel does. */
  readonly rekeys: boolean;
  /** What it says of a destination that it cannot reach. */
  readonly unknownName: string;
  readonly refused: string;
  /** False if it may forget the end of the destination's bytes when both sides have ended and some still wait: then the end comes last. */
  readonly keepsEnd: boolean;
  readonly start: () => Promise<OtherBastion>;
}

const fromSshd = (sshd: Sshd): OtherBastion => ({ ...sshd, knownHosts: sshd.knownHosts() });
const rekeyLimit = `RekeyLimit ${rekeyBytes}`;
const curve = 'curve25519-sha256';
const postQuantum = 'mlkem768x25519-sha256';
const told = { unknownName: 'DestinationNameNotResolved', refused: 'DestinationRefused' };
const other = (name: OtherKind, version: RegExp, more: Partial<Kind> = {}): Kind => ({
  name,
  version,
  keyExchange: curve,
  rekeys: true,
  ...told,
  keepsEnd: true,
  start: () => startOtherBastion(name, rekeyBytes),
  ...more,
});

const kinds: readonly Kind[] = [
  {
    name: 'the machine’s OpenSSH',
    version: /^SSH-2\.0-OpenSSH_/,
    keyExchange: curve,
    rekeys: true,
    ...told,
    keepsEnd: true,
    start: async () => fromSshd(await startSshd({ config: [rekeyLimit] })),
  },
  {
    name: 'OpenSSH 10',
    version: /^SSH-2\.0-OpenSSH_10\./,
    keyExchange: postQuantum,
    rekeys: true,
    ...told,
    keepsEnd: true,
    start: async () =>
      fromSshd(await startSshd({ config: [rekeyLimit], release: await ensureOpensshTen(progressOn()) })),
  },
  other('Dropbear', /^SSH-2\.0-dropbear/, { rekeys: false }),
  other('Go', /^SSH-2\.0-Go/, { keyExchange: postQuantum }),
  // 2.10 closes the channel without CHANNEL_EOF then (channel.py, close).
  other('asyncssh', /^SSH-2\.0-AsyncSSH/, { keepsEnd: false }),
  // It sends no text with its refusals.
  other('paramiko', /^SSH-2\.0-paramiko/, {
    keyExchange: 'curve25519-sha256@libssh.org',
    unknownName: 'DestinationUnreachable',
    refused: 'DestinationUnreachable',
  }),
];

for (const kind of kinds) {
  describe(`a bastion of the kind ${kind.name}`, { timeout: 300_000 }, () => {
    test('lets its key in and forwards, and tells each refusal as what it is', async (t) => {
      const bastion = await kind.start();
      t.after(() => bastion.stop());
      const service = await serve(echo);
      t.after(() => service.stop());
      const closed = await closedPort();
      t.after(() => closed.stop());
      using secret = await secretFor(bastion);
      const greeting = connect(bastion.port, bastion.host);
      assert.match(String((await once(greeting, 'data'))[0]), kind.version);
      greeting.destroy();

      const config = sshConfig([hopTo(bastion, secret)], { knownHosts: bastion.knownHosts });
      const session = await connectOnce(config);
      const dial = (host: string, port: number) =>
        session.dial({ host, port }, { signal: AbortSignal.timeout(30_000) });
      await assert.rejects(dial('orders.db.invalid', 5432), { code: kind.unknownName });
      await assert.rejects(dial('127.0.0.1', closed.port), { code: kind.refused });
      const stream = await dial('127.0.0.1', service.port);
      stream.end('hello');
      assert.equal(String((await once(stream, 'data'))[0]), 'hello');
      await session.close();

      bastion.authorize([]);
      await assert.rejects(connectOnce(config), { code: 'AuthenticationFailed' });
      secret.write({ known_hosts: '' });
      const stranger = { ...config, knownHosts: bastion.knownHosts.replaceAll(/(?<=AAAAI).*/gm, 'A'.repeat(43)) };
      await assert.rejects(connectOnce(stranger), { code: 'HostKeyChanged' });
    });

    test('carries 64 MiB each way across key re-exchanges, unchanged', async (t) => {
      const bastion = await kind.start();
      t.after(() => bastion.stop());
      const service = await serve(echo);
      t.after(() => service.stop());
      using secret = await secretFor(bastion);
      const { session, agreed, keyExchanges } = await sessionTo(bastion, secret, kind.rekeys ? undefined : rekeyBytes);
      assert.equal(agreed(), kind.keyExchange);
      const signal = AbortSignal.timeout(240_000);
      const stream = await session.dial({ host: '127.0.0.1', port: service.port }, { signal });
      const start = performance.now();
      const [sent, received] = [createHash('sha256'), createHash('sha256')];
      const writing = (async () => {
        for (let left = sentBytes; left > 0; left -= mebibyte) {
          const block = randomBytes(mebibyte);
          sent.update(block);
          if (!stream.write(block)) await once(stream, 'drain', { signal });
        }
        if (kind.keepsEnd) stream.end();
      })();
      let count = 0;
      for await (const chunk of stream) {
        received.update(chunk as Buffer);
        count += (chunk as Buffer).length;
        if (count === sentBytes && !kind.keepsEnd) stream.end();
      }
      await writing;
      t.diagnostic(`${Math.round(performance.now() - start)} ms, ${keyExchanges()} key exchanges`);
      assert.equal(count, sentBytes);
      assert.equal(received.digest('hex'), sent.digest('hex'));
      assert.ok(keyExchanges() >= 4, `${keyExchanges()} key exchanges`);
      assert.equal(agreed(), kind.keyExchange, 'after key re-exchanges too');
      await session.close();
    });
  });
}

async function secretFor(bastion: OtherBastion): Promise<SecretDirectory> {
  const secret = new SecretDirectory({ known_hosts: bastion.knownHosts });
  const key = await generateKey(secret.directory);
  secret.write({ 'ssh-privatekey': key.privateKey });
  bastion.authorize([key.publicKey]);
  return secret;
}

async function sessionTo(bastion: OtherBastion, secret: SecretDirectory, own: number | undefined) {
  const hop = hopTo(bastion, secret);
  const { session, login, keyExchanges } = await countedSession({
    socket: await connectTcp(hop, 'bastion', AbortSignal.timeout(30_000)),
    hop,
    knownHosts: bastion.knownHosts,
    credentials: [await new CredentialStore({ directory: secret.directory, secretName: 'bastion' }).current()],
    signal: AbortSignal.timeout(30_000),
    rekeyBytes: own,
  });
  return { session, keyExchanges, agreed: () => agreedOn(login.client).kex };
}
