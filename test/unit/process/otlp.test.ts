import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import { createLog } from '../../../src/process/log.ts';
import { OtlpExporter } from '../../../src/process/otlp.ts';
import type { Span } from '../../../src/process/span.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { TraceCollector } from '../../support/trace-collector.ts';

const span = (name: string, more: Partial<Span> = {}): Span => ({
  name,
  begun: new Date('2026-11-30T06:00:00.000Z'),
  ended: new Date('2026-11-30T06:00:00.250Z'),
  attributes: { 'portforward.name': 'orders-db' },
  ...more,
});

suite('traces', () => {
  let collector: TraceCollector;
  let directory: string;
  let lines: string[];

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'portforward-trace-headers-'));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));
  beforeEach(async () => {
    lines = [];
    collector = await TraceCollector.start();
  });
  afterEach(() => collector.stop());

  const exporter = (more: object = {}): OtlpExporter =>
    new OtlpExporter({
      endpoint: collector.url,
      headers: ['authorization'],
      directory,
      resource: { 'service.name': 'portforward-tunnel' },
      log: createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } }),
      clock: new FakeClock(),
      ...more,
    });

  test('are OTLP in JSON, with times, attributes, events and the code of a failure', async () => {
    const { trace, flush } = bound(exporter());
    trace(span('dial', { failure: 'DestinationRefused' }));
    trace(
      span('reconnect', {
        events: [{ name: 'attempt failed', at: new Date('2026-11-30T06:00:00.100Z'), attributes: {} }],
      }),
    );
    await flush();
    assert.equal(collector.received.length, 1);
    assert.equal(collector.received[0]?.path, '/v1/traces');
    assert.equal(collector.received[0]?.headers['content-type'], 'application/json');
    const [dial, reconnect] = collector.spans();
    assert.deepEqual(dial?.status, { code: 2, message: 'DestinationRefused' });
    assert.equal(dial?.startTimeUnixNano, '1796018400000000000');
    assert.equal(dial?.endTimeUnixNano, '1796018400250000000');
    assert.deepEqual(dial?.attributes, [{ key: 'portforward.name', value: { stringValue: 'orders-db' } }]);
    assert.deepEqual(reconnect?.status, { code: 1 });
    assert.equal(reconnect?.events[0]?.timeUnixNano, '1796018400100000000');
    assert.notEqual(dial?.traceId, reconnect?.traceId);
  });

  test('go out by themselves after five seconds, to the path that is given', async () => {
    const clock = new FakeClock();
    const { trace, flush } = bound(exporter({ clock, endpoint: `${collector.url}/otlp/v1/traces` }));
    trace(span('dial'));
    assert.equal(collector.received.length, 0);
    await clock.advance(5_000);
    await flush();
    assert.deepEqual(
      collector.received.map(({ path }) => path),
      ['/otlp/v1/traces'],
    );
    assert.equal(clock.pending, 0);
  });

  test('carry the header that a file holds now, and none whose file is missing', async () => {
    const { trace, flush } = bound(exporter({ headers: ['authorization', 'x-team'] }));
    for (const token of ['Bearer first', 'Bearer second']) {
      writeFileSync(join(directory, 'authorization'), `${token}\n`);
      trace(span('dial'));
      await flush();
    }
    assert.deepEqual(
      collector.received.map(({ headers }) => [headers.authorization, headers['x-team']]),
      [
        ['Bearer first', undefined],
        ['Bearer second', undefined],
      ],
    );
    assert.doesNotMatch(lines.join('\n'), /Bearer/);
  });

  test('wait in a queue with a bound, and go in batches', async () => {
    const { trace, flush } = bound(exporter());
    for (let count = 0; count < 2_500; count += 1) trace(span(`dial ${count}`));
    await flush();
    assert.deepEqual(
      collector.received.map(({ content }) => content.resourceSpans[0].scopeSpans[0].spans.length),
      [500, 500, 500, 500],
    );
    assert.match(lines.join('\n'), /"dropped":500/);
  });

  test('are dropped when the receiver refuses or is gone, and the log says so once', async () => {
    const { trace, flush } = bound(exporter());
    collector.status = 401;
    for (let count = 0; count < 3; count += 1) {
      trace(span('dial'));
      await flush();
    }
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /traces cannot be sent.*401|401.*traces cannot be sent/);
    collector.status = 200;
    trace(span('dial'));
    await flush();
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /"dropped":3.*traces are sent again/);
  });
});

const bound = (made: OtlpExporter) => ({ trace: made.trace, flush: () => made.flush() });
