// A second install of one class leaves the tunnels of the first alone, and says so once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { desiredChildren } from '../../../src/controller/children/index.ts';
import { installOf } from '../../../src/controller/children/install.ts';
import { OtherInstall } from '../../../src/controller/other-install.ts';
import { silentLog } from '../../../src/process/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { portForward, tunnelSettings } from './portforwards.ts';

const own = 'operator/portforward';
const other = 'team-a/portforward';

function rig() {
  let mark: string | undefined;
  const notes: string[] = [];
  const clock = new FakeClock();
  const installs = new OtherInstall({
    install: own,
    children: { install: () => mark },
    events: { record: ({ type, reason, note }) => void notes.push(`${type} ${reason}: ${note}`) },
    log: silentLog(),
    clock,
  });
  const keeps = (now: string | undefined): boolean => {
    mark = now;
    return installs.keeps(portForward());
  };
  return { installs, notes, clock, keeps };
}

test('objects without a mark and those with our own are ours', () => {
  const { keeps, notes, installs } = rig();
  assert.equal(keeps(undefined), false);
  assert.equal(keeps(own), false);
  assert.equal(installs.count, 0);
  assert.deepEqual(notes, []);
});

test('the other install is told by name and namespace, once an hour, until it lets go', async () => {
  const { keeps, notes, installs, clock } = rig();
  for (const pass of [1, 2, 3]) assert.equal(keeps(other), true, `pass ${pass}`);
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? '', /^Warning ResourceConflict: the install team-a\/portforward keeps the objects/);
  assert.match(notes[0] ?? '', /operator\/portforward, which serves the same class, changes nothing$/);
  assert.equal(installs.count, 1);
  assert.ok(installs.has('shop/orders-db'));
  await clock.advance(3_600_000);
  assert.equal(keeps(other), true);
  assert.equal(notes.length, 2);
  assert.equal(keeps('team-b/portforward'), true);
  assert.equal(notes.length, 3, 'a third install');
  assert.equal(keeps(undefined), false);
  assert.equal(installs.count, 0);
});

test('every child carries the mark of its install', () => {
  const settings = { ...tunnelSettings(), operatorNamespace: 'operator', leaseName: 'portforward' };
  assert.equal(installOf(settings), own);
  const children = Object.values(desiredChildren(portForward(), settings, true));
  assert.equal(children.length, 5);
  for (const child of children)
    assert.equal(child?.metadata.annotations?.['portforward.dev/install'], own, child?.kind);
});
