// Each protocol's words, byte by byte: what the real clients make of them is in test/integration/sidecar/reasons.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import type { AppProtocol } from '../../../../../src/contract/tunnel-config.ts';
import type { Dialect } from '../../../../../src/sidecar/clients/dialects/dialect.ts';
import { httpDialect } from '../../../../../src/sidecar/clients/dialects/http.ts';
import { mysqlDialect } from '../../../../../src/sidecar/clients/dialects/mysql.ts';
import { postgresqlDialect } from '../../../../../src/sidecar/clients/dialects/postgresql.ts';
import { reasonOf } from '../../../../../src/sidecar/clients/dialects/reason.ts';
import { redisDialect } from '../../../../../src/sidecar/clients/dialects/redis.ts';
import { tellReason } from '../../../../../src/sidecar/clients/dialects/tell-reason.ts';

const startup = (major: number): Buffer => {
  const body = Buffer.from('user\0x\0\0');
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8, 0);
  head.writeUInt32BE(major << 16, 4);
  return Buffer.concat([head, body]);
};
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const gssRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]);
const cancelRequest = Buffer.from([0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 2]);

/** The answers to bytes that come in these pieces, as the conversation would send them. */
function converse(dialect: Dialect, pieces: readonly Buffer[]): { sent: string; end: 'told' | 'refused' | 'waits' } {
  let received: Buffer = Buffer.alloc(0);
  let sent = '';
  for (const piece of pieces) {
    received = Buffer.concat([received, piece]);
    for (;;) {
      const step = dialect.step(received, 'why not');
      if (step.kind === 'more') break;
      if (step.kind === 'refuse') return { sent, end: 'refused' };
      sent += step.reply.toString('latin1');
      if (step.done) return { sent, end: 'told' };
      received = received.subarray(step.consumed);
    }
  }
  return { sent, end: 'waits' };
}

const errorResponse = 'E\0\0\0\x23SFATAL\0VFATAL\0C08006\0Mwhy not\0\0';

test('PostgreSQL: N to every request for encryption, then the reason as the answer to the startup message', () => {
  assert.deepEqual(converse(postgresqlDialect, [startup(3)]), { sent: errorResponse, end: 'told' });
  assert.deepEqual(converse(postgresqlDialect, [sslRequest, startup(3)]), { sent: `N${errorResponse}`, end: 'told' });
  assert.deepEqual(converse(postgresqlDialect, [gssRequest, sslRequest, startup(3)]), {
    sent: `NN${errorResponse}`,
    end: 'told',
  });
  assert.deepEqual(converse(postgresqlDialect, [Buffer.concat([sslRequest, startup(3)])]), {
    sent: `N${errorResponse}`,
    end: 'told',
  });
  assert.equal(converse(postgresqlDialect, [sslRequest]).end, 'waits');
  assert.equal(errorResponse.length, 0x23 + 1);
});

test('PostgreSQL: a cancel request, TLS without a question, another protocol and an absurd length are refused', () => {
  const absurd = Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]);
  for (const bytes of [
    cancelRequest,
    Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1]),
    Buffer.from('GET / HTTP/1.1\r\n'),
    absurd,
    startup(2),
  ]) {
    assert.equal(converse(postgresqlDialect, [bytes]).end, 'refused', bytes.toString('hex'));
  }
});

test('PostgreSQL: the answer does not depend on how the bytes are cut', () => {
  const whole = Buffer.concat([gssRequest, sslRequest, startup(3)]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 6 }), (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
      const pieces = at.slice(1).map((end, index) => whole.subarray(at[index], end));
      assert.deepEqual(converse(postgresqlDialect, pieces), { sent: `NN${errorResponse}`, end: 'told' });
    }),
  );
});

test('MySQL: an ERR packet with sequence 0 and no SQLSTATE comes first', () => {
  assert.equal(mysqlDialect.serverFirst, true);
  const { sent } = converse(mysqlDialect, [Buffer.alloc(0)]);
  assert.equal(sent, '\x0a\0\0\0\xff\x1d\x04why not');
});

test('Redis: an error reply to the first whole command, a refusal to TLS', () => {
  assert.deepEqual(converse(redisDialect, [Buffer.from('*1\r\n$4\r\nPING\r\n')]), {
    sent: '-ERR why not\r\n',
    end: 'told',
  });
  assert.equal(converse(redisDialect, [Buffer.from('PIN')]).end, 'waits');
  assert.equal(converse(redisDialect, [Buffer.from([0x16, 3, 1])]).end, 'refused');
});

test('HTTP: 503 with the text to a request line, without it to HEAD, a refusal to HTTP/2 and to TLS', () => {
  const { sent } = converse(httpDialect, [Buffer.from('GET / HT'), Buffer.from('TP/1.1\r\nHost: x\r\n\r\n')]);
  assert.match(
    sent,
    /^HTTP\/1\.1 503 Service Unavailable\r\n[\s\S]*\r\nContent-Length: 8\r\n[\s\S]*\r\n\r\nwhy not\n$/,
  );
  assert.match(converse(httpDialect, [Buffer.from('HEAD / HTTP/1.0\r\n')]).sent, /Content-Length: 8[\s\S]*\r\n\r\n$/);
  for (const bytes of [Buffer.from('PRI * HTTP/2.0\r\n\r\n'), Buffer.from([0x16, 3, 1, 0]), Buffer.from('hello\r\n')]) {
    assert.equal(converse(httpDialect, [bytes]).end, 'refused');
  }
});

test('no bytes of any client make a dialect throw', () => {
  for (const dialect of [postgresqlDialect, mysqlDialect, redisDialect, httpDialect]) {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), (pieces) => {
        converse(
          dialect,
          pieces.map((piece) => Buffer.from(piece)),
        );
      }),
    );
  }
});

test('a reason is printable ASCII of at most 200 characters, with the code', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      const reason = reasonOf(new TunnelError('BastionLost', text));
      assert.match(reason, /^[\x20-\x7e]{1,200}$/);
      assert.ok(reason.endsWith(' (BastionLost)'), 'a long sentence is cut, not the code');
    }),
  );
  assert.equal(
    reasonOf(new TunnelError('BastionRefused', 'a:22 refuses')),
    'portforward: a:22 refuses (BastionRefused)',
  );
  assert.equal(reasonOf(new TunnelError('ServiceFailed', 'AWS’s own')), "portforward: AWS's own (ServiceFailed)");
});

test('a sentence that is too long for a client ends after a whole clause, or at least after a whole word', () => {
  const timeout = 'bastion-a.private.example.com:22 does not answer within 10 s: let the tunnel’s address reach it';
  const both = `${timeout}; ${timeout.replace('bastion-a', 'bastion-b')}`;
  assert.equal(
    reasonOf(new TunnelError('BastionTimeout', both)),
    "portforward: bastion-a.private.example.com:22 does not answer within 10 s: let the tunnel's address reach it (BastionTimeout)",
  );
  const words = 'word '.repeat(60).trim();
  assert.match(reasonOf(new TunnelError('BastionLost', words)), /^portforward: (word )*word\.\.\. \(BastionLost\)$/);
});

/** What a client hears that says `words` and then waits. */
async function heard(protocol: AppProtocol, words: string): Promise<string> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket: Socket) => {
    void tellReason(socket, protocol, new TunnelError('BastionRefused', 'no')).then(() => server.close());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  let text = '';
  client.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  if (words !== '') client.write(words);
  return await new Promise((resolve) => {
    client.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    client.on('end', () => resolve(text));
  });
}

test('the conversation ends with a clean end after the reason, and with a reset where there are no words', async () => {
  assert.equal(await heard('redis', 'PING\r\n'), '-ERR portforward: no (BastionRefused)\r\n');
  assert.match(await heard('mysql', ''), /portforward: no \(BastionRefused\)$/);
  assert.equal(await heard('tcp', 'hello'), 'ECONNRESET');
  assert.equal(await heard('http', `${'x'.repeat(40_000)}`), 'ECONNRESET', 'no request line, and more than any needs');
});

test('a client that breaks off before it was told anything ends the conversation, and no timer is left of it', async (t) => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = await accepted;
  const before = timers();
  const told = tellReason(socket, 'postgresql', new TunnelError('BastionRefused', 'no'));
  client.resetAndDestroy();
  await told;
  assert.equal(timers(), before);
});
