// A far side that misbehaves before the session is open, played by an ssh2 server in this process: how far it let us come decides what is
// said, and nothing that it asks is answered without end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import ssh2, { type AuthContext, type Connection, type ParsedKey, type PublicKeyAuthContext } from 'ssh2';
import type { Code } from '../../../src/contract/errors.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { connectOnce, hopTo, rsaPrivateKey, SecretDirectory } from './ssh-world.ts';

interface Inside {
  readonly _sock: Socket;
  readonly _protocol: {
    readonly _hostKeys: Record<string, ParsedKey>;
    authPKOK(algorithm: string, key: Buffer): void;
    authInfoReq(name: string, instructions: string, prompts: readonly { prompt: string; echo: boolean }[]): void;
    disconnect(reason: number): void;
  };
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const [hostKey, otherKey, userKey] = [rsaPrivateKey(), rsaPrivateKey(), rsaPrivateKey()];

interface Behaviour {
  readonly greeting?: string;
  readonly connected?: (inside: Inside) => void;
  readonly auth: (context: AuthContext, inside: Inside) => void;
}

async function meets({ greeting = '', connected, auth }: Behaviour, code: Code, words: RegExp): Promise<void> {
  const server = new ssh2.Server({ hostKeys: [hostKey], greeting }, (connection: Connection) => {
    const inside = connection as unknown as Inside;
    connection.on('error', () => undefined);
    connected?.(inside);
    connection.on('authentication', (context) => auth(context, inside));
    cleanups.push(() => connection.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const { port } = server.address() as { port: number };
  const secret = new SecretDirectory({ 'ssh-privatekey': userKey });
  cleanups.push(() => secret[Symbol.dispose]());
  const config = sshConfig([hopTo({ host: '127.0.0.1', port }, secret)], { hostKeyPolicy: 'InsecureIgnore' });
  await assert.rejects(connectOnce(config), (error: Error & { code?: unknown }) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  });
}

const publicKey = (context: AuthContext): PublicKeyAuthContext | undefined =>
  context.method === 'publickey' ? context : undefined;

test('a host key whose signature is of another key is HostKeyNotProved', async () => {
  const other = ssh2.utils.parseKey(otherKey);
  assert.ok(!(other instanceof Error));
  const sign = { value: (data: Buffer, algorithm?: string) => other.sign(data, algorithm) };
  await meets(
    {
      connected: ({ _protocol }) => {
        for (const [type, key] of Object.entries(_protocol._hostKeys)) {
          _protocol._hostKeys[type] = Object.create(key, { sign }) as ParsedKey;
        }
      },
      auth: (context) => context.accept(),
    },
    'HostKeyNotProved',
    /cannot prove that it has it/,
  );
});

test('a far side that accepts the query of a key again and again gets one signature', async () => {
  let signed = 0;
  await meets(
    {
      auth: (context, { _protocol }) => {
        const request = publicKey(context);
        if (request === undefined) return context.reject(['publickey']);
        if (request.signature === undefined) return request.accept();
        signed++;
        _protocol.authPKOK(request.key.algo, request.key.data);
      },
    },
    'HandshakeFailed',
    /more signatures than a login needs/,
  );
  assert.equal(signed, 1);
});

test('a far side that half accepts and asks without end is left after some forty answers', async () => {
  let asked = 0;
  await meets(
    {
      auth: (context) => {
        asked++;
        const request = publicKey(context);
        if (request !== undefined && request.signature === undefined) request.accept();
        else if (context.method === 'keyboard-interactive')
          context.prompt([], () => context.reject(['publickey'], true));
        else context.reject(['publickey', 'keyboard-interactive'], true);
      },
    },
    'HandshakeFailed',
    /more signatures than a login needs/,
  );
  assert.ok(asked < 50, `${asked} requests`);
});

test('a second factor that a person must type is named', async () => {
  await meets(
    {
      auth: (context) => {
        if (context.method === 'keyboard-interactive')
          context.prompt([{ prompt: 'Code: ', echo: false }], () => undefined);
        else if (publicKey(context)?.signature === undefined) context.accept();
        else context.reject(['keyboard-interactive'], true);
      },
    },
    'AuthenticationFailed',
    /accepts the key of user tunnel, but demands an answer that a person types \(keyboard-interactive\) as well/,
  );
});

test('a second method that asks nothing is answered, and the login goes on', async () => {
  let rounds = 0;
  await meets(
    {
      auth: (context, { _sock }) => {
        if (context.method === 'keyboard-interactive') {
          rounds++;
          // As far as it has to come: PAM asked nothing and was answered.
          context.prompt([], () => _sock.destroy());
        } else if (publicKey(context)?.signature === undefined) context.accept();
        else context.reject(['keyboard-interactive'], true);
      },
    },
    'LoginInterrupted',
    /during the login, after it accepted the key/,
  );
  assert.equal(rounds, 1);
});

test('a legal notice before the version line does not make a refused login a refused connection', () =>
  meets(
    { greeting: 'Authorised use only.\r\nAll is logged.', auth: (_context, { _protocol }) => _protocol.disconnect(2) },
    'AuthenticationFailed',
    /does not accept user tunnel/,
  ));

test('an account that is turned away after the login is LoginInterrupted, which is transient', () =>
  meets(
    {
      auth: (context, { _sock }) => {
        if (publicKey(context)?.signature === undefined) context.accept();
        else _sock.destroy();
      },
    },
    'LoginInterrupted',
    /closed the connection during the login: .*locked or expired/,
  ));

/** An unencrypted packet (RFC 4253 §6). */
function packet(payload: Buffer): Buffer {
  const padding = 16 - ((5 + payload.length) % 8);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + payload.length + padding);
  head[4] = padding;
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}

const text = (value: string | Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(value));
  return Buffer.concat([length, Buffer.from(value)]);
};

for (const [what, answer] of [
  ['of another length', Buffer.alloc(1000, 1)],
  ['with a point of zeros', Buffer.concat([Buffer.alloc(1088, 1), Buffer.alloc(32)])],
] as const) {
  test(`an answer to the post-quantum key exchange ${what} is HandshakeFailed`, async (t) => {
    let started: Buffer | undefined;
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      const lists = [
        'mlkem768x25519-sha256',
        'ssh-ed25519',
        'aes128-ctr',
        'aes128-ctr',
        'hmac-sha2-256',
        'hmac-sha2-256',
      ];
      const offer = [Buffer.of(20), Buffer.alloc(16), ...[...lists, 'none', 'none', '', ''].map(text), Buffer.alloc(5)];
      socket.write(Buffer.concat([Buffer.from('SSH-2.0-test\r\n'), packet(Buffer.concat(offer))]));
      let received = Buffer.alloc(0);
      socket.on('data', (bytes: Buffer) => {
        received = Buffer.concat([received, bytes]);
        const start = received.indexOf(Buffer.concat([Buffer.of(30), Buffer.from([0, 0, 4, 192])]));
        if (start === -1 || received.length < start + 5 + 1216 || started !== undefined) return;
        started = received.subarray(start + 5, start + 5 + 1216);
        const key = Buffer.concat([text('ssh-ed25519'), text(Buffer.alloc(32, 3))]);
        const signature = Buffer.concat([text('ssh-ed25519'), text(Buffer.alloc(64, 4))]);
        socket.write(packet(Buffer.concat([Buffer.of(31), text(key), text(answer), text(signature)])));
        // The secret is computed once the new keys are announced.
        socket.write(packet(Buffer.of(21)));
      });
    }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const secret = new SecretDirectory({ 'ssh-privatekey': userKey });
    t.after(() => secret[Symbol.dispose]());
    const config = sshConfig([hopTo({ host: '127.0.0.1', port }, secret)], { hostKeyPolicy: 'InsecureIgnore' });
    await assert.rejects(connectOnce(config), {
      code: 'HandshakeFailed',
      message: /breaks the rules of the key exchange/,
    });
    assert.equal(started?.length, 1184 + 32, 'a key of ML-KEM-768 and one of X25519');
  });
}
