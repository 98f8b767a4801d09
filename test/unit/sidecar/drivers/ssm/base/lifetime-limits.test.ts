import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LifetimeLimits } from '../../../../../../src/sidecar/drivers/ssm/base/lifetime-limits.ts';

const minute = 60_000;

test('without a known limit a channel may live forever, and one that sends nothing for 20 minutes', () => {
  const limits = new LifetimeLimits(0);
  assert.equal(limits.lifeMs('i-1', false), Number.POSITIVE_INFINITY);
  assert.equal(limits.lifeMs('i-1', true), 20 * minute);
});

test('the age at which a busy channel was ended is the limit of its node, rounded down to the minute', () => {
  const limits = new LifetimeLimits(0);
  limits.expired('i-1', { ageMs: 60 * minute + 59_000, idleMs: 3_900 });
  assert.equal(limits.lifeMs('i-1', false), 60 * minute);
  assert.equal(limits.lifeMs('i-1', true), 20 * minute);
  assert.equal(limits.lifeMs('i-2', false), Number.POSITIVE_INFINITY);
  limits.expired('i-1', { ageMs: 30 * minute, idleMs: 0 });
  assert.equal(limits.lifeMs('i-1', false), 30 * minute);
});

test('a channel that was ended while it sent nothing teaches the idle timeout, not an age limit', () => {
  const limits = new LifetimeLimits(0);
  limits.expired('i-1', { ageMs: 47 * minute, idleMs: 5 * minute + 1 });
  assert.equal(limits.lifeMs('i-1', false), Number.POSITIVE_INFINITY);
  assert.equal(limits.lifeMs('i-1', true), 5 * minute);
});

test('an end within the first two minutes teaches nothing: an agent that ends each minute is no limit', () => {
  const limits = new LifetimeLimits(0);
  limits.expired('i-1', { ageMs: 119_000, idleMs: 0 });
  assert.equal(limits.lifeMs('i-1', false), Number.POSITIVE_INFINITY);
});

test('a limit that a channel outlives is forgotten', () => {
  const limits = new LifetimeLimits(0);
  limits.expired('i-1', { ageMs: 3 * minute, idleMs: 0 });
  limits.lived('i-1', 4 * minute);
  assert.equal(limits.lifeMs('i-1', false), 3 * minute);
  limits.lived('i-1', 5 * minute);
  assert.equal(limits.lifeMs('i-1', false), Number.POSITIVE_INFINITY);
});

test('a learned limit is disproved by a channel that becomes two minutes older', () => {
  const limits = new LifetimeLimits(0);
  assert.equal(limits.disproofAgeMs('i-1'), 0);
  limits.expired('i-1', { ageMs: 3 * minute, idleMs: 0 });
  const until = limits.disproofAgeMs('i-1');
  assert.ok(until > 5 * minute && until < 5.1 * minute);
  limits.lived('i-1', until);
  assert.equal(limits.disproofAgeMs('i-1'), 0);
});

test('the document’s own limit is never replaced by a learned one', () => {
  const limits = new LifetimeLimits(90);
  limits.expired('i-1', { ageMs: 10 * minute, idleMs: 0 });
  assert.equal(limits.disproofAgeMs('i-1'), 0);
  assert.equal(limits.lifeMs('i-1', false), 90 * minute);
});
