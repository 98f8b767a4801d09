// Which ports of the live Service are kept while an edit rolls out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withFormerPorts } from '../../../../src/controller/children/former-ports.ts';
import { desiredChildren } from '../../../../src/controller/children/index.ts';
import { portForward, tunnelSettings } from '../portforwards.ts';

test('a wanted name on another number is a former port for the first pass of an edit, and drift later', () => {
  const children = desiredChildren(portForward(), tunnelSettings(), true);
  const { service } = children;
  const ports = service.spec?.ports?.map((port) => ({ ...port, port: 9999 })) ?? [];
  const live = { ...service, spec: { ...service.spec, ports } };
  const kept = (isNewEdit: boolean) =>
    withFormerPorts(children, live, () => true, isNewEdit).service.spec?.ports?.map(({ port }) => port);
  assert.deepEqual(kept(true), [5432, 9999]);
  assert.deepEqual(kept(false), [5432]);
});
