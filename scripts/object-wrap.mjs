// One header of Node, patched for ssh2's native crypto. Neighbours: run.mjs (compiles the crypto for this machine),
// release/native-crypto.ts (for a release).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * node_object_wrap.h as it was before 24.19: that release gave every wrapped object an environment cleanup hook, and its removal
 * aborts the process when the garbage collector frees the object (nodejs/node issue 65446, mscdex/ssh2 issue 1511; measured with 24.21).
 * The compiler reads this copy first, so the header's own guard keeps the other one out.
 */
export function patchedObjectWrap(headers, folder) {
  const header = join(headers, 'include', 'node', 'node_object_wrap.h');
  const text = readFileSync(header, 'utf8').replaceAll(/^\s*(Add|Remove)CleanupHook\(\);\n/gm, '');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'node_object_wrap.h');
  writeFileSync(file, text);
  return file;
}
