// What npm run audit makes of a registry's answers: none known, one known, and no answer at all.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const script = join(import.meta.dirname, '../../../scripts/audit.ts');

const advisory = {
  id: 1,
  url: 'https://example.com/advisory',
  title: 'made up',
  severity: 'high',
  vulnerable_versions: '<999.0.0',
};

async function audit(registry: string): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const child = spawn(process.execPath, [script, '--registry', registry], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: Number(code), out, err };
}

/** A registry on this machine that answers every question about advisories alike, and knows one version of each package. */
async function answering(status: number, body: unknown): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/json' });
    const name = request.url?.slice(1) ?? '';
    const versions = { '1.17.0': { name, version: '1.17.0' } };
    response.end(JSON.stringify(request.method === 'GET' ? { name, versions } : body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

test('a registry that knows nothing bad: exit 0', async () => {
  await using registry = await answering(200, {});
  const { code, out, err } = await audit(registry.url);
  assert.equal(code, 0, err);
  assert.match(out, /no known vulnerability/);
});

test('a known vulnerability is named, with its severity: exit 1', async () => {
  await using registry = await answering(200, { ssh2: [advisory] });
  const { code, out, err } = await audit(registry.url);
  assert.equal(code, 1, err);
  assert.match(out, /^high: ssh2 /m);
});

test('a registry that refuses has told nothing: exit 3, with a sentence', async () => {
  await using registry = await answering(403, { error: 'forbidden' });
  const { code, err } = await audit(registry.url);
  assert.equal(code, 3);
  assert.match(err, /did not answer, so nothing is known about the dependencies/);
});
