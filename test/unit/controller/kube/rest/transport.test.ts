import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApiError, ApiUnreachable, isConflict, isNotFound } from '../../../../../src/controller/kube/base/api-error.ts';
import { type Service, services } from '../../../../../src/controller/kube/base/resources.ts';
import { TokenBucket } from '../../../../../src/controller/kube/base/token-bucket.ts';
import { createKubeClient } from '../../../../../src/controller/kube/rest/kube.ts';
import { DeadlineExceeded } from '../../../../../src/process/deadline.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { clientOf, configOf, ScriptedServer, until } from '../scripted-server.ts';

const timeout = 60_000;
const name = { namespace: 'ns', name: 'a' };
const service: Service = { apiVersion: 'v1', kind: 'Service', metadata: name, spec: { ports: [{ port: 1 }] } };
const { signal } = new AbortController();

test('an object that is not there is undefined to a get and false to a delete', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const got = client.kube.get(services, name, { signal });
  const asked = await server.next();
  assert.equal(`${asked.method} ${asked.path}`, 'GET /api/v1/namespaces/ns/services/a');
  assert.equal(asked.headers['user-agent'], 'portforward-test');
  asked.refuse(404, 'NotFound');
  assert.equal(await got, undefined);
  const deleted = client.kube.delete(services, name, { signal, uid: 'u' });
  const second = await server.next();
  assert.deepEqual(second.body, {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy: 'Background',
    preconditions: { uid: 'u' },
  });
  second.refuse(404, 'NotFound');
  assert.equal(await deleted, false);
});

test('an apply goes out whole: fields that no model knows, with force and the field manager', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const desired = { ...service, spec: { brandNewField: { from: [1] } } };
  const applied = client.kube.apply(services, desired, { signal, fieldManager: 'me' });
  const asked = await server.next();
  assert.equal(asked.method, 'PATCH');
  assert.equal(asked.headers['content-type'], 'application/apply-patch+yaml');
  assert.deepEqual(Object.fromEntries(asked.query), { fieldManager: 'me', force: 'true' });
  assert.deepEqual(asked.body, desired);
  asked.answer(200, { metadata: name, spec: { unknownToo: true } });
  assert.deepEqual(await applied, { apiVersion: 'v1', kind: 'Service', metadata: name, spec: { unknownToo: true } });
});

test('a status is never sent without the version that it was computed from', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  await assert.rejects(client.kube.applyStatus(services, service, { signal, fieldManager: 'me' }), /resourceVersion/);
  const status = { ...service, metadata: { ...name, resourceVersion: '7' }, status: {} };
  const applied = client.kube.applyStatus(services, status, { signal, fieldManager: 'me' });
  const asked = await server.next();
  assert.equal(asked.path, '/api/v1/namespaces/ns/services/a/status');
  asked.refuse(409, 'Conflict', 'the object has been modified');
  await assert.rejects(applied, (error) => isConflict(error) && error.message.includes('the object has been modified'));
  assert.equal(server.unasked, 0);
});

test('a name without a namespace is a mistake, not a request for the whole collection', { timeout }, async () => {
  await using client = clientOf(configOf('http://127.0.0.1:1'));
  await assert.rejects(client.kube.delete(services, { name: 'a' }, { signal }), TypeError);
  await assert.rejects(client.kube.delete(services, { namespace: 'ns', name: '' }, { signal }), TypeError);
});

test('a busy server is asked again after the time it names, and every try is counted', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  const clock = new FakeClock();
  await using client = clientOf(configOf(server.url), {}, clock);
  const got = client.kube.get(services, name, { signal });
  // Of the call, only its deadline runs.
  await until(() => clock.pending === 1);
  (await server.next()).refuse(429, 'TooManyRequests', 'slow down', { 'retry-after': '1' });
  await until(() => clock.pending === 2);
  await clock.advance(999);
  assert.equal(clock.pending, 2, 'it still waits');
  await clock.advance(1_000);
  (await server.next()).answer(200, { metadata: name });
  assert.equal((await got)?.metadata.name, 'a');
  assert.equal(clock.pending, 0);
  const host = new URL(server.url).host;
  const printed = await client.registry.metrics();
  assert.ok(printed.includes(`rest_client_requests_total{code="429",method="GET",host="${host}"} 1`));
  assert.ok(printed.includes(`rest_client_requests_total{code="200",method="GET",host="${host}"} 1`));
  assert.ok(printed.includes(`rest_client_request_duration_seconds_count{verb="GET",host="${host}"} 2`));
});

test('a broken connection is tried again for a read and an apply, never for a create that may have arrived', {
  timeout,
}, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const calls = [
    client.kube.get(services, name, { signal }),
    client.kube.apply(services, service, { signal, fieldManager: 'me' }),
  ];
  for (const _ of calls) (await server.next()).reset();
  for (const _ of calls) (await server.next()).answer(200, { metadata: name });
  await Promise.all(calls);
  const created = client.kube.create(services, service, { signal });
  (await server.next()).reset();
  await assert.rejects(created, (error) => error instanceof ApiUnreachable && error.sent);
  assert.equal(server.unasked, 0);
});

test('a server that is not there yet is waited for, also by a create: it cannot have acted', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  await server.stop();
  const created = client.kube.create(services, service, { signal });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await server.start();
  (await server.next()).answer(201, service);
  await created;
  await server.stop();
  // The fourth try comes within 2.7 s, a fifth not before 3.7 s: none is under way when the deadline comes.
  await assert.rejects(
    client.kube.get(services, name, { signal, deadlineMs: 3_700 }),
    (error) => error instanceof ApiUnreachable && !error.sent,
  );
});

test('a server that accepts and says nothing meets the deadline, in the head and in the body', {
  timeout,
}, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const silent = client.kube.get(services, name, { signal, deadlineMs: 500 });
  await assert.rejects(
    silent,
    (error) => error instanceof DeadlineExceeded && /GET .*services\/a took longer than 500 ms/.test(error.message),
  );
  await (await server.next()).gone;
  const slow = client.kube.get(services, name, { signal, deadlineMs: 1_000 });
  const asked = await server.next();
  asked.response.writeHead(200, { 'content-type': 'application/json' });
  asked.response.write('{"metadata"');
  await assert.rejects(slow, DeadlineExceeded);
});

test('a server that takes the connection but never finishes the handshake meets the deadline too, and an abort', {
  timeout,
}, async () => {
  const frozen = createTcpServer();
  const sockets = new Set<Socket>();
  frozen.on('connection', (socket) => sockets.add(socket.on('error', () => undefined)));
  frozen.listen(0, '127.0.0.1');
  await once(frozen, 'listening');
  try {
    await using client = clientOf(configOf(`https://127.0.0.1:${(frozen.address() as AddressInfo).port}`));
    const started = performance.now();
    const call = { signal, fieldManager: 'me', deadlineMs: 100 };
    await assert.rejects(client.kube.apply(services, service, call), DeadlineExceeded);
    await assert.rejects(client.kube.apply(services, service, call), DeadlineExceeded);
    const stop = new AbortController();
    const got = client.kube.get(services, name, { signal: stop.signal });
    stop.abort(new Error('stopping'));
    await assert.rejects(got, /stopping/);
    assert.ok(performance.now() - started < 8_000, 'it waited for the connect timeout');
  } finally {
    for (const socket of sockets) socket.destroy();
    frozen.close();
  }
});

test('aborting a request ends it with the reason and closes its connection', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const stop = new AbortController();
  const got = client.kube.get(services, name, { signal: stop.signal });
  const asked = await server.next();
  const reason = new Error('stopping');
  stop.abort(reason);
  await assert.rejects(got, (error) => error === reason);
  await asked.gone;
  await assert.rejects(client.kube.get(services, name, { signal: stop.signal }), (error) => error === reason);
  assert.equal(server.unasked, 0);
});

test('a refused token is read anew from its file, once; its newline never reaches the header', {
  timeout,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'kube-token-'));
  const tokenFile = join(directory, 'token');
  try {
    await writeFile(tokenFile, 'first\n');
    await using server = await new ScriptedServer().start();
    await using client = clientOf(configOf(server.url, { authProvider: { name: 'tokenFile', config: { tokenFile } } }));
    const got = client.kube.get(services, name, { signal });
    const first = await server.next();
    assert.equal(first.headers.authorization, 'Bearer first');
    await writeFile(tokenFile, 'second\n');
    first.refuse(401, 'Unauthorized');
    const second = await server.next();
    assert.equal(second.headers.authorization, 'Bearer second');
    second.refuse(401, 'Unauthorized', 'token expired');
    await assert.rejects(
      got,
      (error) => error instanceof ApiError && error.status === 401 && !/first|second/.test(error.message),
    );
    assert.ok(!JSON.stringify(client.lines).includes('Bearer'));
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('warnings of the server are logged once and counted always', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  for (let i = 0; i < 2; i++) {
    const got = client.kube.get(services, name, { signal });
    (await server.next()).answer(200, { metadata: name }, { warning: '299 - "v1 is old"' });
    await got;
  }
  assert.deepEqual(
    client.lines.map(({ warning }) => warning),
    ['v1 is old'],
  );
  assert.match(await client.registry.metrics(), /^rest_client_warnings_total\{.*\} 2$/m);
});

test('a page of a proxy in between is quoted, not parsed', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const got = client.kube.get(services, name, { signal });
  const asked = await server.next();
  asked.response.writeHead(418, { 'content-type': 'text/html' });
  asked.response.end('<h1>no upstream</h1>');
  await assert.rejects(got, /GET \/api\/v1\/namespaces\/ns\/services\/a: <h1>no upstream<\/h1>/);
});

test('requests share a few connections instead of opening one each', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const sockets = new Set<unknown>();
  const all = Array.from({ length: 60 }, () => client.kube.get(services, name, { signal }));
  for (const _ of all) {
    const asked = await server.next();
    sockets.add(asked.response.socket);
    asked.answer(200, { metadata: name });
  }
  await Promise.all(all);
  assert.ok(sockets.size <= 16, `${sockets.size} connections`);
});

test('a fence stops a write before it leaves, each try anew, and never a read', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  let leading = true;
  const kube = createKubeClient(client.transport, {
    fence: () => {
      if (!leading) throw new Error('not the leader');
    },
  });
  const applied = kube.apply(services, service, { signal, fieldManager: 'me' });
  const first = await server.next();
  leading = false;
  first.refuse(503, 'ServiceUnavailable');
  await assert.rejects(applied, /not the leader/);
  await assert.rejects(kube.create(services, service, { signal }), /not the leader/);
  await assert.rejects(kube.delete(services, name, { signal }), /not the leader/);
  assert.equal(server.unasked, 0);
  const got = kube.get(services, name, { signal });
  (await server.next()).refuse(404, 'NotFound');
  assert.equal(await got, undefined);
});

test('writes take a token each and their wait is measured, reads take none', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const kube = createKubeClient(client.transport, { bucket: new TokenBucket({ perSecond: 2, burst: 1 }) });
  const writes = [1, 2].map(() => kube.apply(services, service, { signal, fieldManager: 'me' }));
  const read = kube.get(services, name, { signal });
  for (let i = 0; i < 3; i++) (await server.next()).answer(200, { metadata: name });
  await Promise.all([...writes, read]);
  const printed = await client.registry.metrics();
  assert.match(printed, /^rest_client_rate_limiter_duration_seconds_count\{verb="PATCH",host="[^"]+"\} 2$/m);
  const [, sum] = /^rest_client_rate_limiter_duration_seconds_sum\{[^}]+\} (\S+)$/m.exec(printed) ?? [];
  assert.ok(Number(sum) > 0 && Number(sum) <= 0.5, sum);
  assert.ok(!printed.includes('rest_client_rate_limiter_duration_seconds_count{verb="GET"'));
});

test('the elector’s requests neither retries nor shares a connection', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  await using client = clientOf(configOf(server.url));
  const lease = createKubeClient(client.transport, { connectionClass: 'lease' });
  const ordinary = client.kube.get(services, name, { signal });
  const first = await server.next();
  const urgent = lease.get(services, name, { signal });
  const second = await server.next();
  assert.notEqual(first.response.socket, second.response.socket);
  first.refuse(404, 'NotFound');
  second.refuse(503, 'ServiceUnavailable');
  await ordinary;
  await assert.rejects(urgent, (error) => error instanceof ApiError && !isNotFound(error));
  assert.equal(server.unasked, 0);
});

test('a kubeconfig’s proxy-url is gone through', { timeout }, async () => {
  await using server = await new ScriptedServer().start();
  const through: string[] = [];
  // A plain http server behind an http proxy is asked for by its whole address.
  const proxy = createServer((request, response) => {
    through.push(`${request.method} ${request.url}`);
    const target = new URL(request.url ?? '');
    const upstream = connect(Number(target.port), target.hostname, () => {
      upstream.write(`GET ${target.pathname} HTTP/1.0\r\nHost: ${target.host}\r\n\r\n`);
    });
    upstream.on('error', () => response.socket?.destroy());
    upstream.pipe(response.socket ?? response);
    response.socket?.once('close', () => upstream.destroy());
  });
  proxy.on('connect', (request, socket) => {
    through.push(`CONNECT ${request.url}`);
    const { port, hostname } = new URL(`http://${request.url}`);
    const upstream = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  try {
    const config = configOf(server.url);
    const [cluster] = config.clusters;
    assert.ok(cluster);
    config.loadFromClusterAndUser(
      { ...cluster, proxyUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` },
      { name: 'x' },
    );
    await using client = clientOf(config);
    const got = client.kube.get(services, name, { signal });
    (await server.next()).answer(200, { metadata: name });
    assert.equal((await got)?.metadata.name, 'a');
    assert.equal(through.length, 1);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});
