import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { interventionReason, StateLines } from '../../../src/cli/state-lines.ts';
import { errorCodes } from '../../../src/contract/error-codes.ts';
import type { Code } from '../../../src/contract/errors.ts';
import type { TunnelStatus } from '../../../src/contract/tunnel-status.ts';

const status = (more: Partial<TunnelStatus>): TunnelStatus => ({
  version: 1,
  state: 'Connected',
  since: '2026-11-22T12:00:00Z',
  via: 'bastion:22',
  ports: [],
  ...more,
});

const failed = (reason: string): TunnelStatus => status({ state: 'Failed', reason, message: 'what happened' });

test('a line is printed when something changes, and never twice in a row', () => {
  const lines = new StateLines();
  assert.deepEqual(lines.next(status({ state: 'Connecting' })), ['connecting']);
  assert.deepEqual(lines.next(status({ state: 'Connecting' })), []);
  assert.deepEqual(lines.next(status({ hostKeyFingerprint: 'SHA256:x' })), ['connected via bastion:22 (SHA256:x)']);
  assert.deepEqual(lines.next(status({ hostKeyFingerprint: 'SHA256:x', since: 'later' })), []);
});

test('ports are reported only during a session, and only when their state changed', () => {
  const lines = new StateLines();
  const port = (reachable: boolean | null, message?: string) => [
    { name: 'db', reachable, ...(message === undefined ? {} : { message }) },
  ];
  lines.next(status({}));
  assert.deepEqual(lines.next(status({ ports: port(null) })), []);
  assert.deepEqual(lines.next(status({ ports: port(true) })), ['db: the destination answers']);
  assert.deepEqual(lines.next(status({ ports: port(false, 'it refuses') })), ['db: it refuses']);
  assert.deepEqual(lines.next(status({ ...failed('BastionLost'), ports: port(false, 'no session') })), [
    'not connected, trying again: what happened',
  ]);
  assert.deepEqual(lines.next(status({ ports: port(false, 'it refuses') })), ['connected via bastion:22']);
});

test('only what a person must fix ends the command: permanent failures of the bastion, and missing keys', () => {
  const missing: readonly Code[] = ['SecretNotFound', 'SecretUnreadable', 'SecretKeyMissing', 'CredentialsMissing'];
  for (const code of Object.keys(errorCodes) as Code[]) {
    const { permanent, layer } = errorCodes[code];
    const expected = layer !== 'destination' && (permanent || missing.includes(code));
    assert.equal(interventionReason(failed(code)) !== undefined, expected, code);
  }
  assert.equal(
    interventionReason(status({ reason: 'AuthenticationFailed' })),
    undefined,
    'connected by another bastion',
  );
  assert.equal(interventionReason(failed('ACodeOfTheFuture')), undefined);
});

test('the last line has the code and what happened, and the fix only once', () => {
  assert.equal(interventionReason(failed('HostKeyUnknown')), 'HostKeyUnknown: what happened');
  const { message: _, ...silent } = failed('HostKeyUnknown');
  assert.equal(interventionReason(silent), `HostKeyUnknown: ${errorCodes.HostKeyUnknown.remedy}`);
});

test('missing keys are reported with the place where this machine looks for them', () => {
  const folder = mkdtempSync(join(tmpdir(), 'portforward-lines-'));
  try {
    const secrets = new Map([
      ['orders-bastion', { directory: folder, origin: 'the folder ./wrong', hasKey: () => false }],
    ]);
    const here = { secrets, keys: ['ssh-privatekey', 'password'] };
    const missing = interventionReason(failed('SecretNotFound'), here) ?? '';
    assert.match(
      missing,
      /^SecretNotFound: the folder \.\/wrong has none .* Secret orders-bastion .*: add ssh-privatekey/,
    );
    assert.doesNotMatch(missing, /namespace/);
    const incomplete = interventionReason(failed('SecretKeyMissing'), here);
    assert.equal(incomplete, 'SecretKeyMissing: what happened (orders-bastion is the folder ./wrong)');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a fault of the AWS profile is told as it is, other missing credentials as a laptop needs it', () => {
  const told = (message: string): string | undefined =>
    interventionReason(status({ state: 'Failed', reason: 'CredentialsMissing', message }));
  assert.match(told('the AWS profile "shpo" is nowhere: correct AWS_PROFILE') ?? '', /"shpo" is nowhere/);
  assert.match(told('the tunnel finds no AWS credentials: set spec.ssm.irsaRoleArn') ?? '', /aws sso login/);
});
