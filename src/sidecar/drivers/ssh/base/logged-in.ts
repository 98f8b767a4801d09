// An authenticated client of ssh2, and what both sides agreed on.
// Neighbours: login/handshake.ts makes it, channels/session.ts takes it over.
import type { Client } from 'ssh2';

export interface LoggedIn {
  readonly client: Client;
  readonly hostKey: Buffer;
  readonly cipher: string;
  /** True if the certificate that was accepted permits no forwarding. */
  readonly forbidsForwarding?: boolean;
}
