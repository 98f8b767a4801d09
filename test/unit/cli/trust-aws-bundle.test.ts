import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Authority } from '../../../lab/cluster/certificates.ts';
import { trustAwsBundle } from '../../../src/cli/trust-aws-bundle.ts';
import { isUsageError } from '../../../src/cli/usage-error.ts';

const directory = mkdtempSync(join(tmpdir(), 'aws-bundle-'));
after(() => rmSync(directory, { recursive: true }));

async function statusOf(port: number): Promise<number | string> {
  return await new Promise((resolve) => {
    get({ host: '127.0.0.1', port, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
}

test('the certificates of AWS_CA_BUNDLE are trusted beside the usual ones', async () => {
  const authority = new Authority(join(directory, 'company'));
  await authority.create();
  await authority.issue('server', { user: 'server', addresses: ['127.0.0.1'] });
  const key = readFileSync(authority.key('server'));
  const server = createServer({ key, cert: readFileSync(authority.certificate('server')) }, (_, response) =>
    response.end(),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    trustAwsBundle({});
    assert.equal(typeof (await statusOf(port)), 'string', 'nobody knows that authority');
    trustAwsBundle({ AWS_CA_BUNDLE: authority.certificate() });
    assert.equal(await statusOf(port), 200);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test('a bundle that cannot be read, or has no certificate, is a wrong call that names it', () => {
  const empty = join(directory, 'empty.pem');
  writeFileSync(empty, 'nothing');
  for (const file of [empty, join(directory, 'missing.pem')]) {
    assert.throws(
      () => trustAwsBundle({ AWS_CA_BUNDLE: file }),
      (error) => isUsageError(error) && error instanceof Error && error.message.includes(file),
    );
  }
});
