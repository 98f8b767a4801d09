// What a driver's test provides so that the suite can judge it: a real far side, and its faults. Neighbour: suite.ts.

import type { Code } from '../../src/contract/errors.ts';
import type { Destination } from '../../src/contract/tunnel-config.ts';
import type { Logger } from '../../src/process/log.ts';
import type { Driver } from '../../src/sidecar/driver.ts';

export interface DriverWorld {
  /** A new driver that reaches the far side with good credentials. */
  driver(log: Logger): Driver;
  /** A new driver whose credentials the far side refuses, and the code that it must say so with. */
  refusedDriver(log: Logger): { readonly driver: Driver; readonly code: Code };
  /** A port of this machine's loopback, as the far side reaches it. */
  destination(port: number): Destination;
  /** Ends every session abruptly, from the far side. */
  loseSessions(): void;
  /** The far side keeps its connections but does nothing, until the answer is called. */
  freeze(): () => void;
  /** Texts that may appear in no error and no log: keys, lines of keys, passwords, tokens. */
  readonly secrets: readonly string[];
  /** False where the protocol has no half-close: the suite then asks for the whole stream to end. */
  readonly halfClose: boolean;
  stop(): Promise<void>;
}
