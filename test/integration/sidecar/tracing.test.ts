// Traces of a real tunnel, as a receiver gets them: its start, a dial, a lost session; no Secret and no byte of a client in any of them.
// Neighbours: test/unit/process/otlp.test.ts (the form), src/sidecar/traced-observer.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { silentLog } from '../../../src/process/log.ts';
import { OtlpExporter } from '../../../src/process/otlp.ts';
import { startSidecar } from '../../../src/sidecar/sidecar.ts';
import { collectorReads } from '../../support/otlp/collector-reads.ts';
import { permissionsFor } from '../../support/permissions.ts';
import { TraceCollector } from '../../support/trace-collector.ts';
import { client, endOf, startBastion, tunnelConfig, untilConnected } from './sidecar-world.ts';

const secretByte = 'correct-horse-battery-staple';
const token = 'Bearer token-of-the-receiver';

test('a receiver gets connect, dial and reconnect, reads them as the Collector does, and finds nothing that is secret', async (t) => {
  const collector = await TraceCollector.start();
  t.after(() => collector.stop());
  const bastion = await startBastion();
  t.after(() => bastion.stop());
  const echo = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  t.after(() => echo.close());
  await once(echo, 'listening');
  const directory = mkdtempSync(join(tmpdir(), 'portforward-tracing-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'authorization'), token);
  const { port } = echo.address() as { port: number };
  const config = tunnelConfig([bastion.hop], { forwards: [{ port }] });
  const exporter = new OtlpExporter({
    endpoint: collector.url,
    headers: ['authorization'],
    directory,
    resource: { 'service.name': 'portforward-tunnel', 'portforward.name': config.name },
    log: silentLog(),
  });
  const sidecar = await startSidecar(config, {
    podUid: 'test',
    log: silentLog(),
    environment: process.env,
    permissions: permissionsFor(config),
    address: '127.0.0.1',
    adminPort: 0,
    trace: exporter.trace,
  });
  t.after(() => sidecar.stop());
  await untilConnected(sidecar);
  const socket = await client(sidecar);
  socket.write(secretByte);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.equal(answer.toString(), secretByte);
  bastion.sshd.killSessions();
  await endOf(socket);
  const names = (): string[] => collector.spans().map(({ name }) => name);
  await eventually('the reconnect is traced', async () => {
    await exporter.flush();
    return names().includes('reconnect');
  });
  for (const name of ['connect', 'dial', 'reconnect']) assert.ok(names().includes(name), names().join());
  const lost = collector.spans().find(({ name }) => name === 'reconnect');
  assert.equal(lost?.attributes[0]?.key, 'portforward.lost');
  const bodies = collector.received.map(({ body }) => body);
  // More may come while the Collector reads.
  const sent = collector.spans();
  const read = await collectorReads(bodies);
  const same = ({ traceId, spanId, name }: { traceId: string; spanId: string; name: string }): string =>
    [traceId, spanId, name].join();
  assert.deepEqual(read.map(same), sent.map(same));
  for (const { resource, kind, begun, ended, status, name } of read) {
    assert.deepEqual(resource, { 'service.name': 'portforward-tunnel', 'portforward.name': config.name });
    assert.equal(kind, 'Internal');
    // As times: the Collector leaves zeros at the end of a text out.
    const [from, to] = [Date.parse(begun), Date.parse(ended)];
    assert.ok(from <= to && Math.abs(to - Date.now()) < 600_000, `${name}: ${begun} to ${ended}`);
    assert.equal(status, 'Ok');
  }
  const all = bodies.join('\n');
  for (const secret of [secretByte, token, ...bastion.privateKey.split('\n').filter((line) => line.length > 20)])
    assert.ok(!all.includes(secret), 'a secret is in a trace');
  assert.equal(collector.received[0]?.headers.authorization, token);
});
