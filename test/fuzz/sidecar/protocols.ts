// What destinations answer to probes, and what clients say before they are told a reason. Neighbour: ../readers.ts.
import assert from 'node:assert/strict';
import type { AppProtocol } from '../../../src/contract/tunnel-config.ts';
import { dialects } from '../../../src/sidecar/clients/dialects/tell-reason.ts';
import { probes } from '../../../src/sidecar/health/probe.ts';
import type { Subject } from '../subject.ts';

const protocols: readonly AppProtocol[] = ['postgresql', 'mysql', 'redis', 'http'];

/** The first verdict over growing prefixes, as bytes arrive. */
function verdictOf(protocol: AppProtocol, pieces: readonly Buffer[]): true | string | undefined {
  let answer = Buffer.alloc(0);
  for (const piece of pieces) {
    answer = Buffer.concat([answer, piece]);
    const verdict = probes[protocol]?.judge(answer);
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

/** A verdict is true or a clause in plain words, and bytes that come one by one are judged as those that come at once. */
export const probeAnswers: Subject = {
  name: 'answers to probes',
  seeds: [
    Buffer.from('N'),
    Buffer.from('E\0\0\0\x20SFATAL\0C57P03\0Mstarting up\0\0', 'latin1'),
    Buffer.from('\x4a\0\0\0\x0a5.5.5-10.11.6-MariaDB\0', 'latin1'),
    Buffer.from([9, 0, 0, 0, 0xff, 0x69, 0x04, 0x48, 0x6f, 0x73, 0x74]),
    Buffer.from('+PONG\r\n'),
    Buffer.from('-NOAUTH Authentication required.\r\n'),
    Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'),
  ],
  holds(input) {
    let isAnswer = false;
    for (const protocol of protocols) {
      const whole = verdictOf(protocol, [input]);
      const bytes = verdictOf(
        protocol,
        [...input].map((byte) => Buffer.of(byte)),
      );
      // Its first byte, or bytes, decide: what comes behind them changes nothing.
      assert.equal(bytes === true, whole === true, protocol);
      if (typeof whole === 'string') assert.match(whole, /^[a-zA-Z0-9 ]+$/);
      isAnswer ||= whole === true;
    }
    return isAnswer;
  },
};

const reason = 'portforward: orders.db:5432 refuses the connection (DestinationRefused)';

/** A dialect asks for more, refuses, or replies and takes at most what is there; then it is over, or bytes were taken. */
export const clientOpenings: Subject = {
  name: 'first words of clients',
  seeds: [
    Buffer.from('0000000804d2162f', 'hex'),
    Buffer.from('0000000804d21630', 'hex'),
    Buffer.concat([Buffer.from('0000002200030000', 'hex'), Buffer.from('user\0orders\0database\0o\0\0\0', 'latin1')]),
    Buffer.from('*1\r\n$4\r\nPING\r\n'),
    Buffer.from('GET / HTTP/1.1\r\nHost: orders\r\n\r\n'),
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    Buffer.from('160301', 'hex'),
  ],
  holds(input) {
    let isTold = false;
    for (const protocol of protocols) {
      const dialect = dialects[protocol];
      assert.ok(dialect);
      let left = input;
      for (let steps = 0; ; steps += 1) {
        assert.ok(steps <= input.length, 'it never ends');
        const step = dialect.step(left, reason);
        if (step.kind !== 'reply') break;
        assert.ok(step.consumed <= left.length && step.reply.length <= reason.length + 300);
        if (step.done) {
          // MySQL's greeting is replaced whatever the client says.
          isTold ||= dialect.serverFirst !== true;
          break;
        }
        assert.ok(step.consumed > 0, 'a reply without an end takes bytes');
        left = left.subarray(step.consumed);
      }
    }
    return isTold;
  },
};
