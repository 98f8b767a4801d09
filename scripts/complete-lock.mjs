// Run after changing dependencies (`npm install --package-lock-only` first): drops the download addresses, which differ by registry, and
// judges the lock. It must hold the packages of every platform, each with the hash that `npm ci` verifies.
// npm fills in what is missing: an entry without a hash is dropped here, so run npm once more where this says so.
// Neighbour: checks/lock.ts is the same judgement as a step of `npm run check`.
import { readFileSync, writeFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const missing = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  delete entry.resolved;
  if (path !== '' && entry.integrity === undefined) {
    delete lock.packages[path];
    missing.push(path);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
if (missing.length > 0) {
  console.error(`dropped without a hash: ${missing.join(', ')}`);
  console.error('run npm install --package-lock-only again, with a registry that carries them');
  process.exit(1);
}
