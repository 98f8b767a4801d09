// The tunnel pod's process as the command line starts it, but with the admin port of the test.
import { noPermissions } from '../../../src/contract/permissions.ts';
import { configVariable } from '../../../src/contract/pod.ts';
import { tunnelConfigSchema } from '../../../src/contract/tunnel-config.ts';
import { createLog } from '../../../src/process/log.ts';
import { run } from '../../../src/process/run.ts';
import { runSidecar } from '../../../src/sidecar/main.ts';
import { isNative } from '../../support/data-path.ts';
import { permissionsFor } from '../../support/permissions.ts';

const log = createLog({ level: 'debug' });
const text = process.env[configVariable] ?? '';
// A test may start it with a config that nobody can read.
const parsed = tunnelConfigSchema.safeParse(JSON.parse(text));
const permissions = parsed.success ? permissionsFor(parsed.data) : noPermissions;
const adminPort = Number(process.env['PF_TEST_ADMIN_PORT'] ?? 0);
const doctorSocket = process.env['PF_TEST_DOCTOR_SOCKET'];
const crashFile = process.env['PF_TEST_CRASH_FILE'] ?? '/nowhere/crashes';
const options = { log, adminPort, permissions, doctorSocket, nativeDataPath: isNative, crashFile };
await run(async (signal) => await runSidecar({ ...options, signal }), { log });
