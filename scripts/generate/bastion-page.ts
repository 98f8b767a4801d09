// The table of algorithms in docs/bastion.md; the rest of the page is written by hand.
// Neighbours: ../generate.ts writes it; src/sidecar/drivers/ssh/login/algorithms.ts is its source.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  ciphers,
  hostKeySignatures,
  keyExchanges,
  macs,
  type Offer,
} from '../../src/sidecar/drivers/ssh/login/algorithms.ts';

const begin = '<!-- generated: algorithms -->\n';
const end = '<!-- end -->\n';

export function bastionPage(): string {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'bastion.md'), 'utf8');
  const [before, rest] = page.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error('docs/bastion.md lacks the marks of its table');
  return `${before}${begin}${table()}${end}${after}`;
}

function table(): string {
  const hostKeys = Object.entries(hostKeySignatures).map(([type, names]) => ({
    names,
    why: `for a known host key of the type \`${type}\``,
  }));
  const rows = [
    ...rowsOf('key exchange', keyExchanges),
    ...rowsOf('host key', hostKeys),
    ...rowsOf('cipher', ciphers),
    ...rowsOf('MAC', macs),
  ];
  return ['', '| For | Algorithms | Why, and why at this place |', '|---|---|---|', ...rows, '']
    .join('\n')
    .concat('\n');
}

function rowsOf(what: string, offers: readonly Offer[]): string[] {
  return offers.map(({ names, why }) => `| ${what} | ${names.map((name) => `\`${name}\``).join(', ')} | ${why} |`);
}
