// The engine of the ssh data path for each architecture, by Debian's compiler for it and the headers of the very Node it will run in. Compiled
// once for its sources, Node and compiler; kept in the cache.
// Neighbours: image.ts takes it, scripts/native-engine.mjs compiles, native-crypto.ts is the other native part of ssh.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDirectory } from '../../lab/base/places.ts';
import { command } from '../../lab/process/command.ts';
import { addonFlags, addonLink, addonSources, compile, sourcesDigest } from '../native-engine.mjs';
import type { Architecture } from './architectures.ts';
import { compilerFor } from './compiler.ts';
import { npmPackage } from './npm-packages.ts';
import { Refused } from './refused.ts';

/** The addon's file. @throws Refused where the compiler is missing, or refuses the sources after it has said why. */
export async function nativeEngine(architecture: Architecture): Promise<string> {
  const compiler = compilerFor(architecture);
  const headers = await npmPackage(`node-linux-${architecture.node}`);
  const own = readFileSync(import.meta.filename, 'utf8');
  const digest = sourcesDigest(own, await command(compiler, ['--version'])).slice(0, 16);
  const name = `${headers.slice(dirname(headers).length + 1)}-${digest}.engine`;
  const file = join(cacheDirectory(), 'release', name);
  if (existsSync(file)) return file;
  // The compiler writes the names of its folders into what it makes otherwise.
  const root = join(import.meta.dirname, '..', '..');
  const options = [...addonFlags, `-ffile-prefix-map=${root}=.`, `-I${join(headers, 'include', 'node')}`];
  const isMade = await compile(addonSources(), file, { compiler, options, link: addonLink });
  if (!isMade) throw new Refused(`${compiler} does not compile the engine of the ssh data path: see above`);
  return file;
}
