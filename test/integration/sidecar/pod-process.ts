// The tunnel pod's process as the command line starts it, but with the admin port of the test.
import { createLog } from '../../../src/process/log.ts';
import { run } from '../../../src/process/run.ts';
import { runSidecar } from '../../../src/sidecar/main.ts';

const log = createLog({ level: 'debug' });
const adminPort = Number(process.env['PF_TEST_ADMIN_PORT'] ?? 0);
await run(async (signal) => await runSidecar({ signal, log, adminPort }), { log });
