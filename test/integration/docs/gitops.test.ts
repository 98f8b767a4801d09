// The health script of gitops.md gives Argo CD the right health of a PortForward. Redis runs it: it contains Lua 5.1, the version that
// Argo CD uses. test/cluster/argo-cd.test.ts has the real one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { parse } from 'yaml';
import { type Redis, startRedis } from '../../../lab/private-network/redis.ts';
import { command } from '../../../lab/process/command.ts';
import { readPage, root } from './markdown.ts';

const scripts = join(root, 'examples/argo-cd/resource_customizations/portforward.dev/PortForward');

const [script = ''] = readPage('docs/gitops.md').blocks.flatMap(({ language, text }) => {
  if (language !== 'yaml') return [];
  const { ['resource.customizations.health.portforward.dev_PortForward']: lua } = parse(text) as Record<string, string>;
  return lua === undefined ? [] : [lua];
});

interface HealthTests {
  readonly tests: readonly { readonly inputPath: string; readonly healthStatus: object }[];
}

const { tests } = parse(readFileSync(join(scripts, 'health_test.yaml'), 'utf8')) as HealthTests;

suite('the health script of gitops.md', () => {
  let redis: Redis;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis?.stop());

  test('is tested in every state', () => {
    assert.equal(tests.length, 12);
  });

  for (const { inputPath, healthStatus } of tests) {
    test(`${inputPath} has its health`, async () => {
      const object: unknown = parse(readFileSync(join(scripts, inputPath), 'utf8'));
      const lua = `local obj = cjson.decode(ARGV[1])
local function judge()
${script}
end
return cjson.encode(judge())`;
      const { host, port } = redis;
      const said = await command('redis-cli', ['-h', host, '-p', `${port}`, 'EVAL', lua, '0', JSON.stringify(object)]);
      assert.deepEqual(JSON.parse(said), healthStatus);
    });
  }
});
