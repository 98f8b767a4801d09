import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { promisify } from 'node:util';
import { WebSocketServer } from 'ws';
import { systemClock } from '../../../../../../src/process/clock.ts';
import { createSsmApi } from '../../../../../../src/sidecar/drivers/ssm/aws/api.ts';
import { createEcsApi } from '../../../../../../src/sidecar/drivers/ssm/aws/ecs.ts';
import { createIdentity } from '../../../../../../src/sidecar/drivers/ssm/aws/identity.ts';
import { DataSocket } from '../../../../../../src/sidecar/drivers/ssm/channel/web-socket.ts';
import { AwsFake, stsCredentials } from '../aws/aws-fake.ts';

const { signal } = new AbortController();
const authorities = getCACertificates('default');
/** Which hosts clients asked the proxy for, and with which authorization. */
const connected: { readonly to: string; readonly authorization: string | undefined }[] = [];
const sockets = new Set<Socket>();
let directory: string;
let aws: AwsFake;
let sockets443: WebSocketServer;
let proxy: Server;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ssm-proxy-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const form = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await promisify(execFile)('openssl', [...form, ...names, '-keyout', key, '-out', cert]);
  const pem = { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
  // Like NODE_EXTRA_CA_CERTS, which is read only when a process starts.
  setDefaultCACertificates([...authorities, pem.cert]);
  aws = await AwsFake.start(pem);
  sockets443 = new WebSocketServer({ server: aws.server });
  proxy = createServer((_request, response) => response.writeHead(400).end());
  proxy.on('connect', (request, client: Socket) => {
    connected.push({ to: request.url ?? '', authorization: request.headers['proxy-authorization'] });
    const [host = '', port] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => client.write('HTTP/1.1 200 Connection established\r\n\r\n'));
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy());
      from.pipe(to);
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
});

after(async () => {
  setDefaultCACertificates(authorities);
  for (const socket of sockets) socket.destroy();
  for (const client of sockets443.clients) client.terminate();
  await new Promise((resolve) => proxy.close(resolve));
  await aws.stop();
  await rm(directory, { recursive: true });
});

beforeEach(() => {
  connected.length = 0;
});

function environment(more: Record<string, string> = {}): Record<string, string> {
  return { HTTPS_PROXY: `http://pod:word@127.0.0.1:${(proxy.address() as AddressInfo).port}`, ...more };
}

async function callEach(env: Record<string, string>): Promise<void> {
  const policy = { region: 'eu-west-1', allowed: [aws.origin] };
  aws.answer = ({ operation }) =>
    operation.startsWith('AssumeRole')
      ? stsCredentials(operation, 'ASIAWEB')
      : { body: JSON.stringify({ InstanceInformationList: [], taskArns: [] }) };
  const token = join(directory, 'token');
  await writeFile(token, 'projected');
  const web = { AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/tunnel', AWS_WEB_IDENTITY_TOKEN_FILE: token };
  const credentials = createIdentity(
    {
      region: 'eu-west-1',
      target: { instanceId: 'i-0abc' },
      sessions: 1,
      maxSessionMinutes: 0,
      endpoints: { ssm: '', ssmmessages: '', sts: aws.origin, ecs: '' },
    },
    { policy, sessionName: 'portforward-uid', environment: { ...env, ...web } },
  );
  const calls = { policy, endpoint: aws.origin, credentials, proxy: env };
  const [ssm, ecs] = [createSsmApi(calls), createEcsApi(calls)];
  await ssm.findNodes({ Role: 'bastion' }, signal);
  await ecs.runningTasks({ cluster: 'shop', service: 'orders', container: 'app' }, signal);
  ssm.close();
  ecs.close();
}

async function openSocket(env: Record<string, string>): Promise<void> {
  const events = { message: () => undefined, closed: () => undefined, drained: () => undefined };
  const url = new URL(`wss://localhost:${aws.port}/v1/data-channel/s-1`);
  const socket = await DataSocket.open({ url, headers: {}, proxy: env, clock: systemClock, events, signal });
  await socket.close(true);
}

test('calls to ssm, sts and ecs go through the pod’s proxy', async () => {
  await callEach(environment());
  const to = `localhost:${aws.port}`;
  assert.deepEqual(
    connected.map((one) => one.to),
    [to, to, to],
  );
  assert.equal(connected[0]?.authorization, `Basic ${Buffer.from('pod:word').toString('base64')}`);
});

test('so does the web socket of a data channel, and it works', async () => {
  await openSocket(environment());
  assert.deepEqual(
    connected.map((one) => one.to),
    [`localhost:${aws.port}`],
  );
});

test('hosts of NO_PROXY, and all without a proxy, are reached directly', async () => {
  for (const env of [environment({ NO_PROXY: 'example.com,localhost' }), {}]) {
    await callEach(env);
    await openSocket(env);
  }
  assert.equal(connected.length, 0);
});

test('a proxy that refuses is reported as a failure on the way, not as a denial', async () => {
  const refusing = createServer();
  refusing.on('connect', (_request, client: Socket) =>
    client.on('error', () => undefined).end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
  );
  refusing.listen(0, '127.0.0.1');
  await once(refusing, 'listening');
  const env = { HTTPS_PROXY: `http://127.0.0.1:${(refusing.address() as AddressInfo).port}` };
  await assert.rejects(openSocket(env), { code: 'ServiceFailed' });
  await assert.rejects(callEach(env), { code: 'ServiceFailed' });
  await new Promise((resolve) => refusing.close(resolve));
});
