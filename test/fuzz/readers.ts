// Everything of ours that reads input of others and is no message of ssm, with a broken input each time.
// Neighbours: fuzz.ts runs it as a command, test/unit/fuzz/readers.test.ts runs it briefly.
import { tunnelConfigs } from './sidecar/config.ts';
import { clientOpenings, probeAnswers } from './sidecar/protocols.ts';
import { openings } from './ssh/openings.ts';
import { certificates, knownHosts, privateKeys } from './ssh/secrets.ts';
import type { Subject } from './subject.ts';

export const readers: readonly Subject[] = [
  knownHosts,
  privateKeys,
  certificates,
  openings,
  tunnelConfigs,
  probeAnswers,
  clientOpenings,
];
