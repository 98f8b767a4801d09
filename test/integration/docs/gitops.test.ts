// The health script of gitops.md gives Argo CD the right health of a PortForward. Redis runs it: it contains Lua 5.1, the version that
// Argo CD uses.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { type Redis, startRedis } from '../../../lab/private-network/redis.ts';
import { command } from '../../../lab/process/command.ts';
import { readPage } from './markdown.ts';

const [script = ''] = readPage('docs/gitops.md').blocks.flatMap(({ language, text }) => {
  if (language !== 'yaml') return [];
  const { ['resource.customizations.health.portforward.dev_PortForward']: lua } = parse(text) as Record<string, string>;
  return lua === undefined ? [] : [lua];
});

interface Stored {
  readonly metadata: { readonly generation: number };
  readonly spec: object;
  readonly status?: object;
}

const condition = (type: string, status: string, reason = 'Because') => ({
  type,
  status,
  reason,
  message: `${type} ${reason}`,
});

const stored = (...conditions: readonly object[]): Stored => ({
  metadata: { generation: 3 },
  spec: {},
  status: { observedGeneration: 3, conditions },
});

const stalled = condition('Stalled', 'True', 'TimedOut');
const suspended = condition('Ready', 'False', 'Suspended');
const reconciling = condition('Reconciling', 'True', 'Progressing');

/** Each outweighs the next. */
const worlds: Readonly<Record<string, readonly [Stored, health: string, message: string]>> = {
  'without a status': [{ metadata: { generation: 1 }, spec: {} }, 'Progressing', 'Waiting for the operator'],
  'without conditions yet': [
    { metadata: { generation: 1 }, spec: {}, status: { observedGeneration: -1 } },
    'Progressing',
    'Waiting for the operator',
  ],
  'changed, and not looked at since': [
    { ...stored(condition('Ready', 'True')), metadata: { generation: 4 } },
    'Progressing',
    'Waiting for the operator',
  ],
  'stalled, though suspended': [stored(suspended, stalled), 'Degraded', 'Stalled TimedOut'],
  'stalled, though a rollout runs': [stored(reconciling, stalled), 'Degraded', 'Stalled TimedOut'],
  suspended: [stored(suspended), 'Suspended', 'Ready Suspended'],
  'suspended, with objects still to write': [stored(reconciling, suspended), 'Suspended', 'Ready Suspended'],
  'scaled to zero': [stored(condition('Ready', 'False', 'ScaledToZero')), 'Suspended', 'Ready ScaledToZero'],
  'at work': [stored(condition('Ready', 'False'), reconciling), 'Progressing', 'Reconciling Progressing'],
  ready: [stored(condition('Ready', 'True', 'Ready')), 'Healthy', 'Ready Ready'],
  'in an outage': [stored(condition('Ready', 'False', 'BastionLost')), 'Degraded', 'Ready BastionLost'],
  'of unknown state': [
    stored(condition('Ready', 'Unknown', 'StatusUnreadable')),
    'Progressing',
    'Ready StatusUnreadable',
  ],
};

suite('the health script of gitops.md', () => {
  let redis: Redis;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis?.stop());

  for (const [title, [object, health, message]] of Object.entries(worlds)) {
    test(`a PortForward ${title} is ${health}`, async () => {
      const lua = `local obj = cjson.decode(ARGV[1])
local function judge()
${script}
end
return cjson.encode(judge())`;
      const { host, port } = redis;
      const said = await command('redis-cli', ['-h', host, '-p', `${port}`, 'EVAL', lua, '0', JSON.stringify(object)]);
      assert.deepEqual(JSON.parse(said), { status: health, message });
    });
  }
});
