// Debian's C++ compiler for an architecture. Neighbours: native-crypto.ts and native-engine.ts compile with it.
import { findProgram } from '../../lab/programs/find-program.ts';
import type { Architecture } from './architectures.ts';
import { Refused } from './refused.ts';

/** Its name. @throws Refused where it is missing, with the package that has it. */
export function compilerFor({ node, triple, compilerPackage }: Architecture): string {
  const compiler = `${triple}-g++`;
  if (findProgram(compiler) === undefined) {
    const debian = node === process.arch ? 'g++' : compilerPackage;
    throw new Refused(`${compiler} compiles the native parts for ${node}: install it (Debian: ${debian})`);
  }
  return compiler;
}
