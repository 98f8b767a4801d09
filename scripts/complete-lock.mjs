// Run after changing dependencies (`npm install --package-lock-only` first): a registry mirror may not carry packages built for
// platforms other than its own, and npm then leaves them out of the lock and refuses it. This adds each one by name and version
// (without an integrity hash, which only that platform's registry could give) and drops download addresses, which differ by registry.
import { readFileSync, writeFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const systems = ['android', 'darwin', 'freebsd', 'netbsd', 'openbsd', 'linux', 'win32', 'sunos', 'aix', 'openharmony'];
const processors = ['arm64', 'arm', 'x64', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el'];
for (const entry of Object.values(lock.packages)) {
  delete entry.resolved;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key] !== undefined || !/^\d/.test(version)) continue;
    const parts = name.split(/[-/]/);
    const os = systems.filter((system) => parts.includes(system));
    if (os.length === 0) continue;
    const cpu = processors.filter((processor) => parts.includes(processor));
    lock.packages[key] = { version, ...(cpu.length > 0 ? { cpu } : {}), dev: true, optional: true, os };
    if (name.endsWith('musl')) lock.packages[key].libc = ['musl'];
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
