import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TunnelError } from '../../../../src/contract/errors.ts';
import type { WalkStep } from '../../../../src/sidecar/doctor/step.ts';
import { StepRecorder } from '../../../../src/sidecar/doctor/step-recorder.ts';

function recorder() {
  const steps: WalkStep[] = [];
  const clock = { now: 0 };
  return {
    steps,
    clock,
    trace: new StepRecorder(
      (step) => steps.push(step),
      () => clock.now,
    ),
  };
}

test('a step ends when the next begins, and keeps the machine of the one before unless another is named', () => {
  const { steps, clock, trace } = recorder();
  trace.begin('name', 'bastion a:22');
  trace.note('10.0.0.1');
  clock.now = 12.34;
  trace.begin('tcp');
  clock.now = 20;
  trace.begin('dial', 'port db');
  trace.succeed();
  assert.deepEqual(steps, [
    { at: 'bastion a:22', step: 'name', ms: 12.3, facts: ['10.0.0.1'], ok: true },
    { at: 'bastion a:22', step: 'tcp', ms: 7.7, facts: [], ok: true },
    { at: 'port db', step: 'dial', ms: 0, facts: [], ok: true },
  ]);
});

test('a failure belongs to the step that is under way, with the remedy of its code', () => {
  const { steps, trace } = recorder();
  trace.begin('login', 'bastion a:22');
  trace.fail(new TunnelError('AuthenticationFailed', 'it does not accept user x'), []);
  trace.note('too late');
  trace.succeed();
  assert.equal(steps.length, 1);
  const [{ ok, reason, message, remedy, facts } = {} as WalkStep] = steps;
  assert.deepEqual([ok, reason, message, facts], [false, 'AuthenticationFailed', 'it does not accept user x', []]);
  assert.match(remedy ?? '', /Correct spec\.ssh\.user/);
});

test('a far side that is asked for long cannot fill the report', () => {
  const { steps, trace } = recorder();
  trace.begin('login', 'bastion a:22');
  for (let count = 0; count < 1000; count++) trace.note('refused');
  trace.succeed();
  assert.equal(steps[0]?.facts.length, 40);
});
