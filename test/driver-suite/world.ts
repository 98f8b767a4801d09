// What a driver's test provides for the suite: a real far side, and its faults. Neighbour: suite.ts.

import type { Code } from '../../src/contract/errors.ts';
import type { Destination } from '../../src/contract/tunnel-config.ts';
import type { Logger } from '../../src/process/log.ts';
import type { Driver } from '../../src/sidecar/base/driver.ts';

/** What the driver's protocol can do. If it cannot, the suite asserts what happens instead. */
export interface Traits {
  /** One side may end while the other still sends. Without it, the connection of a client that ended is closed once the destination was silent for 2 s. */
  readonly halfClose: boolean;
  /** A dial resolves when the destination has answered. Without it a refusal fails the stream before its first byte. */
  readonly dialTells: boolean;
}

export interface DriverWorld {
  /** A new driver that reaches the far side with good credentials. `ports`: those that will be dialled, if known in advance. */
  driver(log: Logger, ports?: readonly number[]): Driver;
  /** A new driver whose credentials the far side refuses, and the code of the error that it must give. */
  refusedDriver(log: Logger): { readonly driver: Driver; readonly code: Code };
  /** A port of this machine's loopback, as the far side reaches it. */
  destination(port: number): Destination;
  /** Ends every session abruptly, from the far side. */
  loseSessions(): void | Promise<void>;
  /** The far side keeps its connections but does nothing until the returned function is called. */
  freeze(): () => void;
  /** Texts that may appear in no error and no log: keys, lines of keys, passwords, tokens. */
  readonly secrets: readonly string[];
  stop(): Promise<void>;
}
