// Which refusals of the API server a person must hear of, and under which reason.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { obstacleOf } from '../../../src/controller/ensure-children.ts';
import { OwnershipConflict } from '../../../src/controller/kube/apply/apply.ts';
import { ApiError, ApiUnreachable, WriteHeldBack } from '../../../src/controller/kube/base/api-error.ts';
import { portForward } from './portforwards.ts';

const refusal = (status: number, message: string, reason = ''): ApiError =>
  new ApiError('PATCH /x', status, { message, reason });
const held = (kind: string, name: string, uid: string) => {
  const controller = { apiVersion: 'x/v1', kind, name, uid, controller: true };
  const metadata = { name: 'orders-db', namespace: 'shop', ownerReferences: [controller] };
  return new OwnershipConflict({ apiVersion: 'v1', kind: 'Service', metadata }, portForward());
};

const rows: readonly [string, unknown, string | undefined][] = [
  ['a foreign object', held('Deployment', 'web', 'u'), 'ResourceConflict'],
  ['an object of another PortForward', held('PortForward', 'other', 'u'), 'ResourceConflict'],
  ['an object of a former namesake', held('PortForward', 'orders-db', 'u'), 'Progressing'],
  ['a missing right', refusal(403, 'services is forbidden: User "x" cannot patch'), 'Forbidden'],
  ['an admission policy', refusal(403, 'ValidatingAdmissionPolicy "x" denied request'), 'Forbidden'],
  [
    'an admission policy that answers as validation does',
    refusal(422, "deployments \"x\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'y' denied request: no"),
    'Forbidden',
  ],
  ['an admission webhook', refusal(400, 'admission webhook "x.example" denied the request: no'), 'Forbidden'],
  ['a quota on Services', refusal(403, 'exceeded quota: q, requested: services=1'), 'QuotaExceeded'],
  [
    'a namespace that goes',
    refusal(403, 'unable to create new content in namespace x because it is being terminated'),
    'Progressing',
  ],
  ['an object that the API server finds invalid', refusal(422, 'spec.x: Invalid value'), 'InvalidSpec'],
  ['somebody was faster', refusal(409, 'conflict', 'Conflict'), undefined],
  ['a namespace that is gone', refusal(404, 'not found'), undefined],
  ['an overloaded server', refusal(503, 'try later'), undefined],
  ['no answer', new ApiUnreachable('PATCH /x', new Error('ECONNREFUSED'), false), undefined],
  ['a webhook that does not answer', refusal(500, 'failed calling webhook "x": EOF', 'InternalError'), undefined],
  ['a write that waits after a timeout', new WriteHeldBack('/x', 5_000), 'ApiServerError'],
  ['a bug', new TypeError('x is undefined'), undefined],
];

for (const [name, error, reason] of rows) {
  test(`${name}: ${reason ?? 'tried again'}`, () => {
    const problem = obstacleOf(error);
    assert.equal(problem?.reason, reason);
    assert.ok(problem === undefined || problem.message.length > 10);
  });
}
