import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import { createSsmApi, type SsmApi } from '../../../../../../src/sidecar/drivers/ssm/aws/api.ts';
import { createIdentity } from '../../../../../../src/sidecar/drivers/ssm/aws/identity.ts';

interface Call {
  readonly operation: string;
  readonly input: Record<string, unknown>;
  readonly authorization: string;
  readonly token: string | undefined;
}

const calls: Call[] = [];
let answer: { status: number; body: unknown } = { status: 200, body: {} };
const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => {
    body += text;
  });
  request.on('end', () => {
    calls.push({
      operation: String(request.headers['x-amz-target']),
      input: JSON.parse(body) as Record<string, unknown>,
      authorization: String(request.headers.authorization),
      token: request.headers['x-amz-security-token'] as string | undefined,
    });
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify(answer.body));
  });
});
let api: SsmApi;
let directory: string;
const signal = new AbortController().signal;

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  directory = await mkdtemp(join(tmpdir(), 'ssm-api-'));
  await keys('AKIDFIRST');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const policy = { region: 'eu-west-1', allowed: [origin] };
  const config = {
    region: 'eu-west-1',
    target: { instanceId: 'i-0abc' },
    credentials: { secretName: 'aws', directory },
    sessions: 1,
    maxSessionMinutes: 0,
    endpoints: { ssm: origin, ssmmessages: '', sts: '', ecs: '' },
  };
  api = createSsmApi({
    policy,
    endpoint: origin,
    credentials: createIdentity(config, { policy, sessionName: 'portforward-test', environment: {} }),
  });
});

after(async () => {
  api.close();
  await new Promise((resolve) => server.close(resolve));
  await rm(directory, { recursive: true });
});

beforeEach(() => {
  calls.length = 0;
  answer = { status: 200, body: {} };
});

async function keys(accessKeyId: string): Promise<void> {
  await writeFile(join(directory, 'AWS_ACCESS_KEY_ID'), `${accessKeyId}\n`);
  await writeFile(join(directory, 'AWS_SECRET_ACCESS_KEY'), 'secret');
  await writeFile(join(directory, 'AWS_SESSION_TOKEN'), 'token');
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => assert.fail('it was not refused'),
    (one: unknown) => one,
  );
  assert.ok(error instanceof TunnelError);
  return error.code;
}

test('a session to another host is started with its document, signed with the Secret’s keys', async () => {
  answer.body = { SessionId: 's-1', StreamUrl: 'wss://stream', TokenValue: 'ticket' };
  const request = { target: 'i-0abc', host: 'db.internal', port: 5432, reason: 'portforward/shop/db/uid' };
  assert.deepEqual(await api.startSession(request, signal), {
    sessionId: 's-1',
    streamUrl: 'wss://stream',
    token: 'ticket',
  });
  assert.equal(calls[0]?.operation, 'AmazonSSM.StartSession');
  assert.deepEqual(calls[0].input, {
    Target: 'i-0abc',
    Reason: 'portforward/shop/db/uid',
    DocumentName: 'AWS-StartPortForwardingSessionToRemoteHost',
    Parameters: { host: ['db.internal'], portNumber: ['5432'], localPortNumber: ['0'] },
  });
  assert.match(calls[0].authorization, /^AWS4-HMAC-SHA256 Credential=AKIDFIRST\/\d{8}\/eu-west-1\/ssm\/aws4_request/);
  assert.equal(calls[0].token, 'token');
});

test('a start whose answer has no address names the target and where to look', async () => {
  answer.body = { SessionId: 's-1' };
  const request = { target: 'i-0abc', host: undefined, port: 5432, reason: 'x' };
  await assert.rejects(api.startSession(request, signal), {
    code: 'ServiceFailed',
    message: /in eu-west-1 started a session to i-0abc .*: look at the proxy/,
  });
});

test('keys that were changed in the Secret sign the very next call', async () => {
  answer.body = { SessionId: 's-1' };
  await keys('AKIDSECOND');
  await api.terminateSession('s-1', signal);
  assert.match(calls[0]?.authorization ?? '', /Credential=AKIDSECOND\//);
  const signed = await api.signUpgrade(
    new URL('wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/s-1'),
    signal,
  );
  assert.match(signed['authorization'] ?? '', /Credential=AKIDSECOND\/\d{8}\/eu-west-1\/ssmmessages\//);
});

test('refusals of the service have their reasons, and no call is repeated: the caller decides when to try again', async () => {
  const request = { target: 'i-0abc', host: undefined, port: 5432, reason: 'x' };
  for (const [type, code] of [
    ['TargetNotConnected', 'TargetNotConnected'],
    ['com.amazonaws.ssm#AccessDeniedException', 'AccessDenied'],
    ['ThrottlingException', 'Throttled'],
    ['ExpiredTokenException', 'CredentialsExpired'],
    ['InvalidDocument', 'DocumentUnknown'],
  ] as const) {
    answer = { status: 400, body: { __type: type, message: 'arn:aws:iam::123456789012:user/someone' } };
    assert.equal(await refusal(api.startSession(request, signal)), code);
  }
  assert.equal(calls.length, 5);
});

test('a session that does not exist any more cannot be resumed, and need not be ended', async () => {
  answer = { status: 400, body: { __type: 'DoesNotExistException', message: 'gone' } };
  assert.equal(await api.resumeSession('s-1', signal), undefined);
  await api.terminateSession('s-1', signal);
  answer = { status: 200, body: { SessionId: 's-1' } };
  assert.equal(await api.resumeSession('s-1', signal), undefined);
  answer.body = { SessionId: 's-1', TokenValue: 'next', StreamUrl: 'wss://other' };
  assert.deepEqual(await api.resumeSession('s-1', signal), {
    sessionId: 's-1',
    token: 'next',
    streamUrl: 'wss://other',
  });
});

test('nodes are asked for by all tags, and a node’s connection by its present state', async () => {
  answer.body = { InstanceInformationList: [{ InstanceId: 'i-1' }, { InstanceId: 'mi-2' }] };
  assert.deepEqual(await api.findNodes({ Role: 'bastion', Stage: 'prod' }, signal), ['i-1', 'mi-2']);
  assert.deepEqual(calls[0]?.input['Filters'], [
    { Key: 'tag:Role', Values: ['bastion'] },
    { Key: 'tag:Stage', Values: ['prod'] },
  ]);
  answer.body = { Target: 'i-1', Status: 'notconnected' };
  assert.equal(await api.isConnected('i-1', signal), false);
});

test('active sessions are listed with their reasons, of one target or all, in pages of 200 and not without end', async () => {
  answer.body = { Sessions: [{ SessionId: 's-1', Reason: 'portforward/a/b/uid' }, { SessionId: 's-2' }] };
  assert.deepEqual(await api.activeSessions('i-1', signal), [
    { sessionId: 's-1', reason: 'portforward/a/b/uid' },
    { sessionId: 's-2', reason: '' },
  ]);
  assert.deepEqual(calls[0]?.input, {
    State: 'Active',
    MaxResults: 200,
    Filters: [{ key: 'Target', value: 'i-1' }],
  });
  answer.body = { Sessions: [{ SessionId: 's-1' }], NextToken: 'more' };
  calls.length = 0;
  await api.activeSessions(undefined, signal);
  assert.equal(calls.length, 5);
  assert.equal(calls[1]?.input['NextToken'], 'more');
});

test('a Secret without its keys is reported before anything is sent', async () => {
  await rm(join(directory, 'AWS_SECRET_ACCESS_KEY'));
  assert.equal(await refusal(api.terminateSession('s-1', signal)), 'SecretKeyMissing');
  assert.equal(calls.length, 0);
  await keys('AKIDFIRST');
});

test('an aborted call throws the reason of the abort', async () => {
  const stop = new AbortController();
  stop.abort(new Error('not wanted'));
  await assert.rejects(api.resumeSession('s-1', stop.signal), /not wanted/);
});
