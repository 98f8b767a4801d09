import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { silentLog } from '../../../src/process/log.ts';
import { OtlpExporter } from '../../../src/process/otlp.ts';
import { TraceCollector } from '../../support/trace-collector.ts';

test('a sender that dies in the middle of a request does not disturb the receiver of traces', async (t) => {
  const collector = await TraceCollector.start();
  t.after(() => collector.stop());
  const { hostname, port } = new URL(collector.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  // The answer to `Expect` says that the request is being read.
  socket.write('POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n{"');
  await once(socket, 'data');
  socket.destroy();
  const options = { endpoint: collector.url, headers: [], directory: '', resource: {}, log: silentLog() };
  const exporter = new OtlpExporter(options);
  exporter.trace({ name: 'dial', begun: new Date(), ended: new Date(), attributes: {} });
  await exporter.flush();
  assert.deepEqual(
    collector.spans().map(({ name }) => name),
    ['dial'],
  );
});
