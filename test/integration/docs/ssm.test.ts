// What ssm.md says about policies and reasons agrees with the programs: the policy of its document, every reason of the driver, every
// statement explained, every endpoint.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { ssmErrorCodes } from '../../../src/contract/ssm-error-codes.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { readPage, root } from './markdown.ts';

const page = readPage('docs/ssm.md');
const text = readFileSync(join(root, page.path), 'utf8');
const documents = page.blocks.filter(({ language }) => language === 'yaml').map((block) => block.text);

interface Policy {
  readonly Statement: readonly { readonly Sid: string }[];
}

const iam = (document: string, ...args: string[]): string =>
  execFileSync(process.execPath, [join(root, 'src/main.ts'), 'iam', '-f', '-', ...args], {
    input: document,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });

suite('ssm.md', () => {
  test('the policy that it shows is the one that the command prints for its first document', () => {
    const shown = page.blocks.filter(({ language }) => language === 'json');
    assert.equal(shown.length, 1);
    assert.equal(shown[0]?.text, iam(documents[0] ?? '', '--account', '123456789012'));
  });

  test('it explains every statement of every document that it shows', () => {
    assert.ok(documents.length >= 4);
    const named = documents.flatMap((document) =>
      (JSON.parse(iam(document, '--output', 'json')) as { policy: Policy }[]).flatMap(({ policy }) =>
        policy.Statement.map(({ Sid }) => Sid),
      ),
    );
    const words = new Set(page.words.map(({ target }) => target));
    assert.deepEqual(
      [...new Set(named)].filter((name) => name !== 'AssumeRole' && !words.has(name)),
      [],
    );
  });

  test('it has a row for every reason that only this driver gives, and for no other', () => {
    const rows = [...text.matchAll(/^\| `([A-Z][A-Za-z]+)` \| [^|]+ \| [^|]+ \|$/gm)].map(([, reason = '']) => reason);
    assert.deepEqual(rows.toSorted(), Object.keys(ssmErrorCodes).toSorted());
  });

  test('the reasons that send their reader to it name a page that is there', () => {
    const sent = Object.values(ssmErrorCodes).filter(({ remedy }) => remedy.includes('docs/'));
    assert.ok(sent.length >= 2);
    assertEvery(sent, ({ remedy }) => remedy.includes(page.path), 'a remedy that sends its reader to this page');
  });
});
