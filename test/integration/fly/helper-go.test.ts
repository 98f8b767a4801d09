// The helper's own tests, in Go: what joins packets, carries datagrams and shares memory, and what ends an outage, each with every case that the other tests of this folder meet by chance.
// Neighbours: the files _test.go beside the helper's sources.
import { join } from 'node:path';
import { test } from 'node:test';
import { command } from '../../../lab/process/command.ts';
import { findGo } from '../../../lab/programs/go.ts';

const sources = join(import.meta.dirname, '../../../src/sidecar/drivers/fly/helper');

test('the helper’s packets and datagrams', async (t) => {
  const { program, env } = await findGo((line) => t.diagnostic(line));
  const said = await command(program, ['test', '-count=1', '-vet=off', '.'], { cwd: sources, env, timeoutMs: 600_000 });
  t.diagnostic(said.trim());
});
