// The admin port: exact paths, limited answers, and nothing left open after the signal.
import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { silentLog } from '../../../src/process/log.ts';
import { Counter, createRegistry, Gauge, Registry } from '../../../src/process/metrics.ts';
import { check, json, metricsPage, startProbeServer } from '../../../src/process/probe-server.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('each route answers on its exact path, problems are 503 with the sentence, and all else is 404 or 405', async () => {
  const stop = new AbortController();
  const registry = createRegistry();
  new Counter({ name: 'things_total', help: 'things', registers: [registry] }).inc(2);
  let problem: string | undefined = 'caches are not synced';
  const server = await startProbeServer({
    host: '127.0.0.1',
    port: 0,
    signal: stop.signal,
    log: silentLog(),
    routes: {
      '/readyz': check(() => problem),
      '/statusz': json(() => ({ state: 'Up' })),
      '/metrics': metricsPage(registry),
      '/broken': () => {
        throw new Error('secret detail');
      },
    },
  });
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, init);
    return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
  };
  assert.deepEqual(await get('/readyz'), {
    status: 503,
    type: 'text/plain; charset=utf-8',
    body: 'caches are not synced\n',
  });
  problem = undefined;
  assert.equal((await get('/readyz?verbose')).status, 200);
  assert.deepEqual(await get('/statusz'), { status: 200, type: 'application/json', body: '{"state":"Up"}' });
  const metrics = (await get('/metrics')).body;
  assert.match(metrics, /^things_total 2$/m);
  assert.match(metrics, /^process_resident_memory_bytes \d+$/m);
  assert.deepEqual(await get('/broken'), { status: 500, type: 'text/plain; charset=utf-8', body: 'internal error\n' });
  assert.equal((await get('/constructor')).status, 404);
  assert.equal((await get('/readyz', { method: 'POST', body: 'x' })).status, 405);
  assert.deepEqual(await get('/readyz', { method: 'HEAD' }), {
    status: 200,
    type: 'text/plain; charset=utf-8',
    body: '',
  });
  stop.abort();
  await server.closed;
});

test('aborting closes connections that never sent a request', async () => {
  const stop = new AbortController();
  const server = await startProbeServer({
    host: '127.0.0.1',
    port: 0,
    routes: {},
    signal: stop.signal,
    log: silentLog(),
  });
  const silent = connect(server.port, '127.0.0.1');
  // A connection that the server had not taken yet is reset, which is as good an end.
  silent.on('error', () => undefined);
  const ended = new Promise((resolve) => silent.once('close', resolve));
  await once(silent, 'connect');
  stop.abort();
  await ended;
  await server.closed;
});

test('a taken port is an error, not a silent second server', async () => {
  const stop = new AbortController();
  const options = { host: '127.0.0.1', routes: {}, signal: stop.signal, log: silentLog() };
  const first = await startProbeServer({ ...options, port: 0 });
  await assert.rejects(startProbeServer({ ...options, port: first.port }), { code: 'EADDRINUSE' });
  stop.abort();
  await first.closed;
});

test('a route that does not answer in time is 503, and a closed server leaves no listener on its signal', async () => {
  const stop = new AbortController();
  const clock = new FakeClock();
  const asked = Promise.withResolvers<void>();
  const server = await startProbeServer({
    host: '127.0.0.1',
    port: 0,
    signal: stop.signal,
    log: silentLog(),
    clock,
    routes: {
      '/stuck': () => {
        asked.resolve();
        return new Promise(() => undefined);
      },
    },
  });
  assert.equal(getEventListeners(stop.signal, 'abort').length, 1);
  const answered = fetch(`http://127.0.0.1:${server.port}/stuck`);
  await asked.promise;
  await clock.advance(10_000);
  const response = await answered;
  assert.deepEqual([response.status, await response.text()], [503, 'no answer in time\n']);
  assert.equal(clock.pending, 0);
  stop.abort();
  await server.closed;
  assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
});

test('a page of metrics is made ten times a second at most, after twenty at once: others get the last one again', async () => {
  const clock = new FakeClock();
  const registry = new Registry();
  let made = 0;
  const series: Gauge = new Gauge({
    name: 'pages_made',
    help: 'Pages that were made.',
    registers: [registry],
    collect: (): void => series.set((made += 1)),
  });
  const page = metricsPage(registry, clock);
  const ask = async (times: number): Promise<string> => {
    let body = '';
    for (let asked = 0; asked < times; asked++) ({ body } = await page());
    return body;
  };
  assert.match(await ask(1_000), /^pages_made 20$/m);
  await clock.advance(100);
  assert.match(await ask(1_000), /^pages_made 21$/m);
  await clock.advance(10_000);
  assert.match(await ask(1), /^pages_made 22$/m, 'Prometheus gets a new page each time');
});
