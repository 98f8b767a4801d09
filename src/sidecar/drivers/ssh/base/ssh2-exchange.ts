// What ssh2's key exchange lacks for the bastions of today. Neighbours: ssh2-protocol.ts has the internals, ssh2-hardening.ts calls it.
import type { Protocol } from './ssh2-protocol.ts';

/** SSH_MSG_KEXINIT. */
export const keyExchangeInit = 20;

/**
 * What ssh2 takes for a violation during a key re-exchange, and OpenSSH does not: messages without a meaning (RFC 4253 §7.1; the strict key
 * exchange forbids them in the first exchange alone), and channel messages that were under way. asyncssh sends both, once an hour at least.
 */
export function allowDuringExchange(protocol: Protocol): void {
  const { _decipher: decipher } = protocol;
  if (decipher === undefined) return;
  const exchange = decipher._onPayload;
  decipher._onPayload = (payload) => {
    const type = payload[0] ?? 0;
    const isMeaningless = type >= 2 && type <= 4;
    // An exchange keeps what it gets until its end, when the memory that was read into is used again (lent-reads.ts).
    return isMeaningless || type >= 80 ? protocol._onPayload(payload) : exchange(Buffer.from(payload));
  };
}
