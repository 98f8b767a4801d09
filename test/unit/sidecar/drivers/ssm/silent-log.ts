// A log that nobody reads.
import { createLog } from '../../../../../src/process/log.ts';

export const silentLog = createLog({ level: 'silent' });
