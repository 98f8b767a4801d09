// Every sentence of the sidecar as a client prints it, with short names and with the longest that a document admits: whole, with its code,
// at most 200 characters. The sentences are taken from the sources, so that a new one is judged, too.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Code, TunnelError } from '../../../../../src/contract/errors.ts';
import { reasonOf } from '../../../../../src/sidecar/clients/dialects/reason.ts';

const root = fileURLToPath(new URL('../../../../../', import.meta.url));
const thrown = /new TunnelError\(\s*(?:'(\w+)'|[\w.()]+),\s*(`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*')/g;

interface Sentence {
  readonly file: string;
  readonly code: Code;
  /** With `${…}` where a name stands. */
  readonly text: string;
}

const sentences: readonly Sentence[] = globSync('src/sidecar/**/*.ts', { cwd: root }).flatMap((file) =>
  [...readFileSync(`${root}${file}`, 'utf8').matchAll(thrown)].map(([, code = 'BastionLost', text = '']) => ({
    file,
    code: code as Code,
    text: text.slice(1, -1),
  })),
);

const label = 'a'.repeat(62);
const names = {
  'a usual name': 'orders-db.internal:5432',
  'a long name': 'orders-database-of-the-payments-team.eu-central-1.rds.internal.example-corporation.com:5432',
  'the longest name': `${label}.${label}.${label}.${label}:65535`,
  'a long name without a dot': 'u'.repeat(120),
};

for (const [which, name] of Object.entries(names)) {
  test(`every sentence with ${which} is whole and fits`, () => {
    assert.ok(sentences.length > 100, `${sentences.length} sentences`);
    const bad = sentences.flatMap(({ file, code, text }) => {
      const said = reasonOf(new TunnelError(code, text.replaceAll(/\$\{[^}]*\}/g, name)));
      const isWhole = said.startsWith('portforward: ') && said.endsWith(`(${code})`) && !said.includes('...');
      return isWhole && said.length <= 200 ? [] : [`${file}: ${said}`];
    });
    assert.deepEqual(bad, []);
  });
}

test('what a far side said, in quotation marks, is left out: a client gets our words alone', () => {
  const said = (text: string): string => reasonOf(new TunnelError('TokenRefused', text));
  assert.equal(
    said(
      'fly.io refuses the token for the request PortForwardApp: “You must be <b>authenticated</b>”; put another one into the Secret',
    ),
    'portforward: fly.io refuses the token for the request PortForwardApp; put another one into the Secret (TokenRefused)',
  );
  assert.equal(
    said(
      'bastion a:22 and the tunnel agree on no cipher: it offers “aes128-cbc”, “3des-cbc”; enable one of aes128-ctr there',
    ),
    'portforward: bastion a:22 and the tunnel agree on no cipher: it offers others; enable one of aes128-ctr there (TokenRefused)',
  );
});

test('a name that does not fit is replaced by the role that stands before it, or by what it looks like', () => {
  const { 'the longest name': long } = names;
  const said = (text: string): string => reasonOf(new TunnelError('AuthenticationFailed', text));
  assert.equal(
    said(`bastion ${long} does not accept user tunnel: add the key to authorized_keys`),
    'portforward: bastion does not accept user tunnel: add the key to authorized_keys (AuthenticationFailed)',
  );
  assert.equal(
    said(`${long}, which is dialled through bastion ${long}, does not answer`),
    'portforward: the host, which is dialled through bastion, does not answer (AuthenticationFailed)',
  );
  assert.equal(
    said(`arn:aws:iam::123456789012:role/${'r'.repeat(180)} may not be assumed`),
    'portforward: the role may not be assumed (AuthenticationFailed)',
  );
});
