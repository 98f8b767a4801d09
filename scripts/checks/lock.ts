// package-lock.json: every package carries the hash that `npm ci` verifies, and no download address, which would tie the repository to one
// registry.
// Neighbour: ../complete-lock.mjs brings the lock into this form.
import type { Finding, Source } from './finding.ts';

const remedy =
  'npm install --package-lock-only --omit-lockfile-registry-resolved=false, then node scripts/complete-lock.mjs';

export function lockFindings({ file, text }: Source): Finding[] {
  const { packages } = JSON.parse(text) as { packages: Record<string, { integrity?: string; resolved?: string }> };
  return Object.entries(packages).flatMap(([path, { integrity, resolved }]) => {
    // The first entry is the repository itself.
    if (path === '') return [];
    return [
      ...(integrity === undefined ? [`${path} has no integrity hash: ${remedy}`] : []),
      ...(resolved === undefined ? [] : [`${path} carries a download address: ${remedy}`]),
    ].map((message) => ({ file, message }));
  });
}
