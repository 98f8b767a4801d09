// HTTP/1: the reason is a 503 with plain text, sent once a request has begun. HTTP/2 with prior knowledge gets a reset.
import type { Dialect } from './dialect.ts';

const requestLine = /^[A-Z]{1,20} \S+ HTTP\/1\.[01]\r?\n/;

export const httpDialect: Dialect = {
  step(received, reason) {
    if (received.length === 0) return { kind: 'more' };
    const text = received.toString('latin1');
    if (!/^[A-Z]/.test(text) || text.startsWith('PRI * HTTP/2')) return { kind: 'refuse' };
    if (!text.includes('\n')) return { kind: 'more' };
    if (!requestLine.test(text)) return { kind: 'refuse' };
    const body = `${reason}\n`;
    const head = [
      'HTTP/1.1 503 Service Unavailable',
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${body.length}`,
      'Connection: close',
      'Cache-Control: no-store',
    ].join('\r\n');
    const isHead = text.startsWith('HEAD ');
    const reply = Buffer.from(`${head}\r\n\r\n${isHead ? '' : body}`, 'latin1');
    return { kind: 'reply', reply, consumed: received.length, done: true };
  },
};
