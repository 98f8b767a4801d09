// ssh2's native crypto for each architecture, by Debian's compiler for it and the headers of the very Node it will run in. Compiled once
// for its sources, Node and compiler; kept in the cache.
// Neighbours: image.ts and one-file.ts take it; scripts/run.mjs builds the one that runs from sources.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cacheDirectory } from '../../lab/base/places.ts';
import { command } from '../../lab/process/command.ts';
import { cryptoWithKeys } from '../crypto-keys.mjs';
import { patchedObjectWrap } from '../object-wrap.mjs';
import type { Architecture } from './architectures.ts';
import { compilerFor } from './compiler.ts';
import { npmPackage } from './npm-packages.ts';

const modules = join(import.meta.dirname, '..', '..', 'node_modules');
const source = join(modules, 'ssh2', 'lib', 'protocol', 'crypto');

/** The binding's file. @throws Refused where the compiler is missing, CommandFailed with its words. */
export async function nativeCrypto(architecture: Architecture): Promise<string> {
  const { node, triple } = architecture;
  const compiler = compilerFor(architecture);
  const headers = await npmPackage(`node-linux-${node}`);
  const key = createHash('sha256').update(await command(compiler, ['--version']));
  const getters = join(import.meta.dirname, '..', 'crypto-keys.mjs');
  for (const file of [join(source, 'binding.gyp'), join(source, 'src', 'binding.cc'), getters, import.meta.filename]) {
    key.update(readFileSync(file));
  }
  const file = join(
    cacheDirectory(),
    'release',
    `${headers.slice(dirname(headers).length + 1)}-${key.digest('hex').slice(0, 16)}.sshcrypto`,
  );
  if (existsSync(file)) return file;

  const work = mkdtempSync(join(tmpdir(), 'portforward-crypto-'));
  try {
    cryptoWithKeys(source, work);
    const own = join(work, 'headers');
    mkdirSync(own);
    const gyp = [join(modules, 'node-gyp', 'bin', 'node-gyp.js'), 'rebuild', '--silent'];
    // Without it the binding is built for OpenSSL 1, whose way to make a Poly1305 tag fails at the second packet since OpenSSL 3.2.
    const openssl = `--real_openssl_major=${process.versions.openssl.split('.', 1)[0]}`;
    await command(process.execPath, [...gyp, `--arch=${node}`, `--nodedir=${headers}`, openssl], {
      cwd: work,
      timeoutMs: 10 * 60_000,
      env: {
        NODE_PATH: modules,
        // Where npm's own configuration names one, npm hands it on as a variable, and node-gyp prefers that to the option.
        npm_config_nodedir: headers,
        npm_config_arch: node,
        CC: `${triple}-gcc`,
        CXX: compiler,
        // The compiler writes the name of its folder into what it makes otherwise.
        CXXFLAGS: `-ffile-prefix-map=${work}=. -include ${patchedObjectWrap(headers, own)} -include ${oldSymbols(architecture, own)}`,
        LDFLAGS: '-s',
        PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      },
    });
    const made = readFileSync(join(work, 'build', 'Release', 'sshcrypto.node'));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, made);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return file;
}

/**
 * The compiler's own glibc decides which version of a symbol is asked for. dlsym is the one that was moved since Node's 2.28 (in 2.34): with
 * the old name the binding loads wherever this Node starts, and not only on newer systems.
 */
function oldSymbols({ firstGlibc }: Architecture, folder: string): string {
  const file = join(folder, 'old_symbols.h');
  writeFileSync(file, `__asm__(".symver dlsym, dlsym@${firstGlibc}");\n`);
  return file;
}
