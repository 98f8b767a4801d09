import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awsError, isSessionGone, upgradeRefused } from '../../../../../src/sidecar/drivers/ssm/aws-error.ts';

function failure(name: string, message = 'arn:aws:sts::123456789012:assumed-role/secret', status = 400): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status } });
}

test('each failure of AWS gets its own reason, and no sentence of ours carries AWS’s text', () => {
  const cases: readonly (readonly [Error, string])[] = [
    [failure('TargetNotConnected'), 'TargetNotConnected'],
    [failure('InvalidDocument'), 'DocumentUnknown'],
    [failure('BadRequest'), 'SessionRefused'],
    [failure('AccessDeniedException'), 'AccessDenied'],
    [failure('ThrottlingException'), 'Throttled'],
    [failure('InternalServerError', 'x', 500), 'ServiceFailed'],
    [failure('ExpiredTokenException'), 'CredentialsExpired'],
    [failure('UnrecognizedClientException'), 'CredentialsRefused'],
    [failure('InvalidSignatureException'), 'CredentialsRefused'],
    [failure('InvalidSignatureException', 'Signature expired: 20261122T000000Z is now earlier than'), 'ClockSkew'],
    [failure('InvalidSignatureException', 'Signature not yet current: 2027'), 'ClockSkew'],
    [failure('CredentialsProviderError'), 'CredentialsMissing'],
    [Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }), 'RegionWrong'],
    [Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), 'ServiceFailed'],
  ];
  for (const [error, code] of cases) {
    const told = awsError(error, 'ssm:StartSession', 'i-0abc', 'eu-west-1');
    assert.equal(told.code, code);
    assert.ok(!told.message.includes('secret') && !told.message.includes('earlier'), told.message);
    assert.equal(told.cause, error);
  }
});

test('a denial names the missing action, and that of resuming has its own reason', () => {
  assert.match(
    awsError(failure('AccessDeniedException'), 'ssm:StartSession', 'i-0abc', 'eu-west-1').message,
    /lacks ssm:StartSession for i-0abc/,
  );
  assert.equal(awsError(failure('AccessDeniedException'), 'ssm:ResumeSession', 'x', 'eu-west-1').code, 'ResumeDenied');
});

test('only a session that does not exist is gone', () => {
  assert.equal(isSessionGone(failure('DoesNotExistException')), true);
  assert.equal(isSessionGone(failure('InternalServerError')), false);
});

test('a refused upgrade is told from a wrong clock by the answer’s own date', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  assert.equal(upgradeRefused(403, 'Sun, 22 Nov 2026 12:00:30 GMT', now).code, 'AccessDenied');
  assert.equal(upgradeRefused(403, 'Sun, 22 Nov 2026 12:09:00 GMT', now).code, 'ClockSkew');
  assert.equal(upgradeRefused(403, undefined, now).code, 'AccessDenied');
  assert.equal(upgradeRefused(503, undefined, now).code, 'ServiceFailed');
});
