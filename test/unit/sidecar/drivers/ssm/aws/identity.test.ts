import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { TunnelError } from '../../../../../../src/contract/errors.ts';
import type { SsmConfig } from '../../../../../../src/contract/tunnel-config.ts';
import type { CredentialProvider } from '../../../../../../src/sidecar/drivers/ssm/aws/aws-client.ts';
import { createIdentity } from '../../../../../../src/sidecar/drivers/ssm/aws/identity.ts';
import { AwsFake, stsCredentials, stsRefusal } from './aws-fake.ts';

const tunnelRole = 'arn:aws:iam::123456789012:role/tunnel';
const otherRole = 'arn:aws:iam::210987654321:role/other';
let fake: AwsFake;
let directory: string;

beforeEach(async () => {
  fake = await AwsFake.start();
  directory = await mkdtemp(join(tmpdir(), 'ssm-identity-'));
});

afterEach(async () => {
  await fake.stop();
  await rm(directory, { recursive: true });
});

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(directory, name), text);
  return join(directory, name);
}

function identity(environment: Record<string, string>, config: Partial<SsmConfig> = {}): CredentialProvider {
  const policy = { region: 'eu-west-1', allowed: [fake.origin] };
  return createIdentity(
    {
      region: 'eu-west-1',
      target: { instanceId: 'i-0abc' },
      sessions: 1,
      maxSessionMinutes: 0,
      endpoints: { ssm: '', ssmmessages: '', sts: fake.origin, ecs: '' },
      ...config,
    },
    { policy, sessionName: 'portforward-uid', environment },
  );
}

/** A pod's environment as IRSA's webhook sets it. */
async function irsa(): Promise<Record<string, string>> {
  return { AWS_ROLE_ARN: tunnelRole, AWS_WEB_IDENTITY_TOKEN_FILE: await file('token', 'projected') };
}

async function staticKeys(accessKeyId: string): Promise<Partial<SsmConfig>> {
  await file('AWS_ACCESS_KEY_ID', accessKeyId);
  await file('AWS_SECRET_ACCESS_KEY', 'secret');
  return { credentials: { secretName: 'aws', directory } };
}

async function refusal(source: CredentialProvider): Promise<TunnelError> {
  const error = await source().then(
    () => assert.fail('there are credentials'),
    (one: unknown) => one,
  );
  assert.ok(error instanceof TunnelError, String(error));
  return error;
}

function parameters(at: number): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(fake.asked[at]?.body));
}

test('web identity: the projected token becomes the role at the configured STS, under our session name, and the credentials are cached', async () => {
  fake.answer = ({ operation }) => stsCredentials(operation, 'ASIAWEB');
  const source = identity(await irsa());
  assert.equal((await source()).accessKeyId, 'ASIAWEB');
  const { Action, RoleArn, RoleSessionName, WebIdentityToken } = parameters(0);
  assert.deepEqual([Action, RoleArn, RoleSessionName], ['AssumeRoleWithWebIdentity', tunnelRole, 'portforward-uid']);
  assert.equal(WebIdentityToken, 'projected');
  assert.equal(fake.asked[0]?.headers.authorization, undefined);
  await source();
  assert.equal(fake.asked.length, 1);
});

test('credentials that expire soon are renewed before each call, with the present token; a failure while they are valid does no harm', async () => {
  const environment = await irsa();
  fake.answer = ({ operation }) => stsCredentials(operation, `ASIA${fake.asked.length}`, 120);
  const source = identity(environment);
  assert.equal((await source()).accessKeyId, 'ASIA1');
  await file('token', 'rotated');
  assert.equal((await source()).accessKeyId, 'ASIA2');
  assert.equal(parameters(1)['WebIdentityToken'], 'rotated');
  fake.answer = () => stsRefusal('ServiceUnavailable', 'no', 503);
  assert.equal((await source()).accessKeyId, 'ASIA2');
  // If the old credentials expire too soon, the failure is reported.
  fake.answer = ({ operation }) => stsCredentials(operation, 'ASIASHORT', 5);
  assert.equal((await source()).accessKeyId, 'ASIASHORT');
  fake.answer = () => stsRefusal('ServiceUnavailable', 'no', 503);
  assert.equal((await refusal(source)).code, 'ServiceFailed');
});

test('a refused web identity is reported by its cause', async () => {
  const cases = [
    ['AccessDenied', 'AccessDenied', /lacks sts:AssumeRoleWithWebIdentity for arn:.*role\/tunnel.*trust policy/],
    ['InvalidIdentityToken', 'CredentialsRefused', /OIDC issuer/],
    ['ExpiredTokenException', 'CredentialsExpired', /sts:AssumeRoleWithWebIdentity in eu-west-1/],
    ['Throttling', 'Throttled', /sts:AssumeRoleWithWebIdentity/],
  ] as const;
  const environment = await irsa();
  for (const [name, code, sentence] of cases) {
    fake.answer = () => stsRefusal(name, 'someone');
    const error = await refusal(identity(environment));
    assert.equal(error.code, code);
    assert.match(error.message, sentence);
    assert.doesNotMatch(error.message, /someone|projected/);
  }
  await rm(environment['AWS_WEB_IDENTITY_TOKEN_FILE'] ?? '');
  assert.equal((await refusal(identity(environment))).code, 'CredentialsMissing');
});

test('Pod Identity: the agent is asked with the projected token, which is read for each call', async () => {
  const Expiration = new Date(Date.now() + 60_000).toISOString();
  fake.answer = () => ({
    body: JSON.stringify({ AccessKeyId: 'ASIAPOD', SecretAccessKey: 'secret', Token: 'token', Expiration }),
  });
  const environment = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${fake.origin}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: await file('pod-token', 'first'),
  };
  const source = identity(environment);
  assert.equal((await source()).accessKeyId, 'ASIAPOD');
  await file('pod-token', 'second');
  await source();
  assert.deepEqual(
    fake.asked.map(({ path, headers }) => [path, headers.authorization]),
    [
      ['/v1/credentials', 'first'],
      ['/v1/credentials', 'second'],
    ],
  );
  fake.answer = () => ({ status: 403, body: '{"Code":"AccessDeniedException","Message":"someone"}' });
  const refused = await refusal(identity(environment));
  assert.equal(refused.code, 'CredentialsRefused');
  assert.match(refused.message, /status 403.*associate a role that trusts pods\.eks\.amazonaws\.com/);
  const unanswered = identity(environment);
  await fake.stop();
  const gone = await refusal(unanswered);
  assert.equal(gone.code, 'CredentialsMissing');
  assert.match(gone.message, /eks-pod-identity-agent/);
  fake = await AwsFake.start();
});

test('a role is assumed with the tunnel’s identity, with external id and session tags, and again when the keys change', async () => {
  fake.answer = ({ operation }) => stsCredentials(operation, `ASIAROLE${fake.asked.length}`);
  const assumeRole = { roleArn: otherRole, externalId: 'shop', sessionTags: { team: 'orders' } };
  const source = identity({}, { ...(await staticKeys('AKIDFIRST')), assumeRole });
  assert.equal((await source()).accessKeyId, 'ASIAROLE1');
  const sent = parameters(0);
  assert.equal(sent['Action'], 'AssumeRole');
  assert.equal(sent['RoleArn'], otherRole);
  assert.equal(sent['RoleSessionName'], 'portforward-uid');
  assert.equal(sent['ExternalId'], 'shop');
  assert.deepEqual([sent['Tags.member.1.Key'], sent['Tags.member.1.Value']], ['team', 'orders']);
  assert.match(String(fake.asked[0]?.headers.authorization), /Credential=AKIDFIRST\/\d{8}\/eu-west-1\/sts\//);
  await source();
  assert.equal(fake.asked.length, 1);
  await staticKeys('AKIDSECOND');
  assert.equal((await source()).accessKeyId, 'ASIAROLE2');
  assert.match(String(fake.asked[1]?.headers.authorization), /Credential=AKIDSECOND\//);
});

test('web identity first, then the role: both through STS', async () => {
  fake.answer = ({ operation }) => stsCredentials(operation, operation === 'AssumeRole' ? 'ASIAROLE' : 'ASIAWEB');
  const source = identity(await irsa(), { assumeRole: { roleArn: otherRole } });
  assert.equal((await source()).accessKeyId, 'ASIAROLE');
  assert.deepEqual(
    fake.asked.map(({ operation }) => operation),
    ['AssumeRoleWithWebIdentity', 'AssumeRole'],
  );
  assert.match(String(fake.asked[1]?.headers.authorization), /Credential=ASIAWEB\//);
  assert.equal(
    Object.keys(parameters(1)).some((name) => name.startsWith('Tags')),
    false,
  );
});

test('a role that is refused names what is missing: the action, or the right to tag', async () => {
  const assumeRole = { roleArn: otherRole, sessionTags: { team: 'orders' } };
  const source = identity({}, { ...(await staticKeys('AKIDFIRST')), assumeRole });
  fake.answer = () => stsRefusal('AccessDenied', 'User: someone is not authorized to perform: sts:AssumeRole');
  assert.match((await refusal(source)).message, /lacks sts:AssumeRole for arn:.*role\/other/);
  fake.answer = () => stsRefusal('AccessDenied', 'User: someone is not authorized to perform: sts:TagSession');
  const tags = await refusal(source);
  assert.equal(tags.code, 'AccessDenied');
  assert.match(tags.message, /need sts:TagSession for arn:.*role\/other/);
  fake.answer = () => stsRefusal('InvalidClientTokenId');
  assert.equal((await refusal(source)).code, 'CredentialsRefused');
  fake.answer = () => stsRefusal('ExpiredToken');
  assert.equal((await refusal(source)).code, 'CredentialsExpired');
});

test('without any credentials the ways to give some are named, and the node’s role is not one of them', async (t) => {
  // The library's own search reads these.
  const before = { ...process.env };
  t.after(() => {
    process.env = before;
  });
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_EC2_METADATA_SERVICE_ENDPOINT: fake.origin,
    AWS_CONFIG_FILE: join(directory, 'none'),
    AWS_SHARED_CREDENTIALS_FILE: join(directory, 'none'),
  });
  const error = await refusal(identity({}));
  assert.equal(error.code, 'CredentialsMissing');
  assert.match(error.message, /spec\.ssm\.irsaRoleArn.*Pod Identity.*spec\.ssm\.secretRef/);
  assert.equal(fake.asked.length, 0);
});

test('an STS address that is not allowed gets nothing', async () => {
  const elsewhere = { ssm: '', ssmmessages: '', sts: 'https://sts.example.com', ecs: '' };
  const environment = await irsa();
  assert.throws(
    () => identity(environment, { endpoints: elsewhere }),
    (error) => error instanceof TunnelError && error.code === 'EndpointNotAllowed',
  );
});

test('a missing Secret, a Secret without a key and a complete one are three different cases', async () => {
  const credentials = { secretName: 'aws', directory };
  const source = identity({}, { credentials });
  const missing = await refusal(source);
  assert.equal(missing.code, 'SecretNotFound');
  assert.match(missing.message, /Secret aws does not exist .*AWS_ACCESS_KEY_ID.*: create it/);
  await file('AWS_ACCESS_KEY_ID', 'AKIDFIRST');
  const incomplete = await refusal(source);
  assert.equal(incomplete.code, 'SecretKeyMissing');
  assert.match(incomplete.message, /Secret aws has no key AWS_SECRET_ACCESS_KEY: add it/);
  await file('AWS_SECRET_ACCESS_KEY', 'secret');
  assert.equal((await source()).accessKeyId, 'AKIDFIRST');
});

for (const { what, profile, config, sentence, own } of [
  {
    what: 'a misspelt profile',
    profile: 'shpo',
    config: '[profile shop]\n',
    sentence: /profile "shpo" is neither in .*: correct AWS_PROFILE/,
    own: /shpo/,
  },
  {
    what: 'a profile with a second factor',
    profile: 'shop',
    config:
      '[profile shop]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n[profile base]\naws_access_key_id = AKID\naws_secret_access_key = secret\n',
    sentence: /profile "shop" demands a second factor .*export-credentials --profile shop/,
    own: /multi-factor/,
  },
  {
    what: 'an expired SSO sign-in',
    profile: 'shop',
    config:
      '[profile shop]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = x\n[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n',
    sentence: /SSO sign-in of the AWS profile "shop" has expired .*aws sso login --profile shop/,
    own: /sso/i,
  },
  {
    what: 'a failing credential_process',
    profile: 'shop',
    config: '[profile shop]\ncredential_process = /bin/false\n',
    sentence: /credential_process of the AWS profile "shop" gives no credentials: run its command/,
    own: /false/,
  },
]) {
  test(`on a laptop ${what} has its own sentence and its own cause`, async (t) => {
    const before = { ...process.env };
    t.after(() => {
      process.env = before;
    });
    for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
    Object.assign(process.env, {
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_PROFILE: profile,
      HOME: directory,
      AWS_CONFIG_FILE: await file('config', config),
      AWS_SHARED_CREDENTIALS_FILE: join(directory, 'none'),
    });
    const error = await refusal(identity({ AWS_PROFILE: profile }));
    assert.equal(error.code, 'CredentialsMissing');
    assert.match(error.message, sentence);
    assert.match(String(error.cause), own);
  });
}
