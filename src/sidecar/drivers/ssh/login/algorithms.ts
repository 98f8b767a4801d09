// What is offered to a bastion, in which order and why. The order is ours: the server takes the first of our list that it knows (RFC 4253
// §7.1). Pure. Neighbours: handshake.ts offers them; scripts/generate/bastion-page.ts makes the table of docs/bastion.md of them.

import { postQuantumExchange } from '../base/ssh2-post-quantum.ts';

/** One algorithm, or several that are offered for the same reason. */
export interface Offer {
  readonly names: readonly string[];
  readonly why: string;
}

/**
 * No group exchange (diffie-hellman-group-exchange-*): there the server chooses the prime, before its host key is checked, and one of 8,192
 * bits costs 40 s of the thread (measured). The fixed groups have known short exponents and cost 15 ms at most.
 */
export const keyExchanges: readonly Offer[] = [
  {
    names: [postQuantumExchange],
    why: 'safe from quantum computers too; OpenSSH since 9.9, by default since 10. On a laptop with Node 24.7 or later',
  },
  {
    names: ['curve25519-sha256', 'curve25519-sha256@libssh.org'],
    why: 'the fastest; OpenSSH since 6.5 (the second is its older name)',
  },
  {
    names: ['ecdh-sha2-nistp256', 'ecdh-sha2-nistp384', 'ecdh-sha2-nistp521'],
    why: 'OpenSSH since 5.7; what FIPS lists allow',
  },
  {
    names: ['diffie-hellman-group16-sha512', 'diffie-hellman-group18-sha512', 'diffie-hellman-group14-sha256'],
    why: 'fixed groups, for servers without curves; OpenSSH since 7.3',
  },
];

/** No CBC. */
export const ciphers: readonly Offer[] = [
  {
    names: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com'],
    why: 'encrypts and authenticates at once, in hardware: several hundred MB/s',
  },
  { names: ['aes256-ctr', 'aes192-ctr', 'aes128-ctr'], why: 'with a MAC of the next list; for servers without GCM' },
  {
    names: ['chacha20-poly1305@openssh.com'],
    why: 'slower than AES in hardware; refused without strict key exchange (Terrapin, CVE-2023-48795)',
  },
];

/** No SHA-1 and no MD5. */
export const macs: readonly Offer[] = [
  {
    names: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'],
    why: 'authenticates what was encrypted',
  },
  { names: ['hmac-sha2-256', 'hmac-sha2-512'], why: 'for servers without the two above' },
];

/** The signature algorithms of each type of host key. RSA keys sign with SHA-2, never with SHA-1 (RFC 8332). */
export const hostKeySignatures: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

/** The names alone, in the order in which they are offered. */
export function namesOf(offers: readonly Offer[]): string[] {
  return offers.flatMap(({ names }) => names);
}
