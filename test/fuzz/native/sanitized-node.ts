// Runs first in every process that sanitized-node starts. Whatever loads the engine gets the sanitized one; each Node that it starts is such a
// process, too; and every other program starts without the sanitizer's runtime, with which PostgreSQL, for one, does not start.
import { basename, join } from 'node:path';

delete process.env['LD_PRELOAD'];
process.execPath = join(import.meta.dirname, 'sanitized-node');

const sanitizedEngine = process.env['PF_SANITIZED_ENGINE'];
const load = process.dlopen.bind(process);
process.dlopen = (...[module, file, ...flags]: Parameters<typeof process.dlopen>) => {
  load(module, basename(file) === 'engine.node' ? (sanitizedEngine ?? file) : file, ...flags);
};
