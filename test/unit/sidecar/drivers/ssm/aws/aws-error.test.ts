import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awsError, isSessionGone, upgradeRefused } from '../../../../../../src/sidecar/drivers/ssm/aws/aws-error.ts';
import type { Action } from '../../../../../../src/sidecar/drivers/ssm/aws/aws-reasons.ts';

function failure(name: string, message = 'arn:aws:sts::123456789012:assumed-role/someone', status = 400): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status } });
}

const role = 'arn:aws:iam::123456789012:role/tunnel';

const start: Action = 'ssm:StartSession';
const web: Action = 'sts:AssumeRoleWithWebIdentity';
const cases: readonly (readonly [Error, Action, string, string, RegExp])[] = [
  [
    failure('TargetNotConnected'),
    start,
    'i-0abc',
    'TargetNotConnected',
    /^i-0abc is not connected .*eu-west-1: start it/,
  ],
  [failure('InvalidDocument'), start, 'i-0abc', 'DocumentUnknown', /i-0abc.*eu-west-1: allow AWS-StartPort/],
  [failure('BadRequest'), start, 'i-0abc', 'SessionRefused', /ssm:StartSession in eu-west-1 for i-0abc: correct/],
  [
    failure('AccessDeniedException'),
    start,
    'i-0abc',
    'AccessDenied',
    /lacks ssm:StartSession for i-0abc in eu-west-1: add/,
  ],
  [
    failure('AccessDeniedException'),
    'ssm:ResumeSession',
    'its session',
    'ResumeDenied',
    /lacks ssm:ResumeSession .*hourly/,
  ],
  [
    failure('AccessDenied'),
    'sts:AssumeRole',
    role,
    'AccessDenied',
    /lacks sts:AssumeRole for arn.*role\/tunnel: allow/,
  ],
  [
    failure('AccessDenied', 'User: x is not authorized to perform: sts:TagSession on resource: y'),
    'sts:AssumeRole',
    role,
    'AccessDenied',
    /sts:TagSession for arn.*role\/tunnel: allow it .* or remove spec\.ssm\.assumeRole\.sessionTags/,
  ],
  [failure('InvalidIdentityToken'), web, role, 'CredentialsRefused', /OIDC issuer .*role\/tunnel/],
  [
    failure('ExpiredTokenException'),
    start,
    'i-0abc',
    'CredentialsExpired',
    /ssm:StartSession in eu-west-1.*: renew those/,
  ],
  [failure('UnrecognizedClientException'), start, 'i-0abc', 'CredentialsRefused', /eu-west-1.*: correct the role/],
  [failure('InvalidSignatureException'), start, 'i-0abc', 'CredentialsRefused', /ssm:StartSession/],
  [
    failure('InvalidSignatureException', 'Signature expired: 20261122T000000Z is now earlier than'),
    start,
    'i-0abc',
    'ClockSkew',
    /ssm:StartSession in eu-west-1.*clock .*NTP/,
  ],
  [failure('InvalidSignatureException', 'Signature not yet current: 2027'), start, 'x', 'ClockSkew', /NTP/],
  [failure('RequestTimeTooSkewed'), start, 'x', 'ClockSkew', /NTP/],
  [failure('ThrottlingException'), start, 'x', 'Throttled', /ssm:StartSession in eu-west-1: use fewer/],
  [failure('Strange', 'x', 429), start, 'x', 'Throttled', /fewer/],
  [failure('CredentialsProviderError'), start, 'x', 'CredentialsMissing', /irsaRoleArn, .*Pod Identity, .*secretRef/],
  [
    failure('ClusterNotFoundException'),
    'ecs:ListTasks',
    'shop',
    'TargetNotFound',
    /eu-west-1 does not know the cluster/,
  ],
  [
    Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }),
    start,
    'x',
    'RegionWrong',
    /no endpoint of ssm for the region eu-west-1: correct spec\.ssm\.region/,
  ],
  [Object.assign(new Error('c'), { code: 'ECONNREFUSED' }), start, 'x', 'ServiceFailed', /ECONNREFUSED.*: look/],
  [failure('InternalServerError', 'x', 500), start, 'x', 'ServiceFailed', /ssm:StartSession in eu-west-1 .*500/],
];

test('each failure of AWS gets its own reason: where, which action, and the remedy; AWS’s own text stays out', () => {
  for (const [error, action, subject, code, sentence] of cases) {
    const reason = awsError(error, action, subject, 'eu-west-1');
    assert.equal(reason.code, code);
    assert.match(reason.message, sentence);
    assert.doesNotMatch(reason.message, /someone|earlier|authorized/);
    assert.equal(reason.cause, error);
  }
});

test('the remedy for refused credentials names their source: the Secret that has them, otherwise the role', () => {
  for (const [name, word] of [
    ['ExpiredTokenException', 'renew'],
    ['UnrecognizedClientException', 'correct'],
  ] as const) {
    const sentence = (secretName?: string): string =>
      awsError(failure(name), 'ssm:StartSession', 'i-0abc', 'eu-west-1', secretName).message;
    assert.match(sentence('stock-aws'), new RegExp(`: ${word} the keys in Secret stock-aws$`));
    assert.match(sentence(), /: .*the role of the tunnel’s ServiceAccount.*; on a laptop/);
  }
});

test('only a session that does not exist has ended', () => {
  assert.equal(isSessionGone(failure('DoesNotExistException')), true);
  assert.equal(isSessionGone(failure('InternalServerError')), false);
});

test('the answer’s own date shows whether an upgrade was refused for a wrong clock; the reason names action and host', () => {
  const host = 'ssmmessages.eu-west-1.amazonaws.com';
  const now = new Date('2026-11-22T12:00:00Z');
  const denied = upgradeRefused(403, 'Sun, 22 Nov 2026 12:00:30 GMT', now, host);
  assert.equal(denied.code, 'AccessDenied');
  assert.match(denied.message, /lacks ssmmessages:OpenDataChannel at ssmmessages\.eu-west-1\.amazonaws\.com, add it/);
  assert.equal(upgradeRefused(403, 'Sun, 22 Nov 2026 12:09:00 GMT', now, host).code, 'ClockSkew');
  assert.equal(upgradeRefused(403, undefined, now, host).code, 'AccessDenied');
  assert.equal(upgradeRefused(429, undefined, now, host).code, 'Throttled');
  const failed = upgradeRefused(503, undefined, now, host);
  assert.equal(failed.code, 'ServiceFailed');
  assert.match(failed.message, /status 503 .*ssmmessages\.eu-west-1.*: look at the proxy and the VPC endpoint/);
});
