// spec.ssh: the tunnel over OpenSSH bastions.
// Neighbours: portforward.ts (exactly one driver), host.ts, names.ts (Secrets).
import { z } from 'zod';
import { integer, lines, orderedList } from './building-blocks.ts';
import { host, userName } from './host.ts';
import { secretRef } from './names.ts';
import { withRules } from './rule.ts';

const secretKeys =
  'Keys: ssh-privatekey (or identity), ssh-publickey-cert, passphrase (of an encrypted private key), password, known_hosts.';

/** A machine on the way: a bastion or a jump host. */
const hop = (what: string, reachedBy: string) =>
  z.strictObject({
    host: host().describe(`DNS name or address of the ${what}, as ${reachedBy}. No user, no port, no ssh://.`),
    port: integer(1, 65535).default(22).describe(`Port of sshd on the ${what}.`),
    user: userName().exactOptional().describe(`User to log in as on this ${what}. Default: spec.ssh.user.`),
    secretRef: secretRef(secretKeys)
      .exactOptional()
      .describe(`Credentials for this ${what} alone. Default: spec.ssh.secretRef. ${secretKeys}`),
  });

const bastionSchema = hop('bastion', 'the cluster reaches it, or the last jump host if there are any');
const jumpHostSchema = hop('jump host', 'the cluster (the first) or the jump host before it reaches it');

export type BastionSpec = z.output<typeof bastionSchema>;

const distinct = (field: 'bastions' | 'jumpHosts', what: string) => ({
  rule: `self.all(a, self.exists_one(b, b.host == a.host && b.port == a.port))`,
  message: `${field} has the same ${what} twice (same host and port): remove one`,
  check: (hops: readonly BastionSpec[]) =>
    new Set(hops.map(({ host: name, port }) => `${port} ${name}`)).size === hops.length,
});

export const sshSchema = withRules(
  z.strictObject({
    user: userName().describe(
      'User to log in as on the bastions. Preferably a user that may only forward (restrict,port-forwarding in authorized_keys).',
    ),
    bastions: withRules(orderedList(bastionSchema, 8, 1), [distinct('bastions', 'bastion')]).describe(
      'The machines to log in to, which can reach the destinations: one to eight. If one fails, the next carries the tunnel. Every bastion must reach every destination.',
    ),
    bastionPolicy: z
      .enum(['Ordered', 'Spread'])
      .default('Ordered')
      .describe(
        'Ordered: the first bastion that works, in the order of the list. Spread: each pod prefers a different bastion, to share load and risk.',
      ),
    jumpHosts: withRules(orderedList(jumpHostSchema, 8), [distinct('jumpHosts', 'jump host')])
      .exactOptional()
      .describe(
        'Machines to go through before the bastion, in the order of ProxyJump in ssh_config: the first is reached from the cluster.',
      ),
    secretRef: secretRef(secretKeys)
      .exactOptional()
      .describe(
        `The Secret with the key or password. ${secretKeys} Only these are mounted, as files; the operator itself cannot read Secrets. A change is tried at once and never ends a working session.`,
      ),
    knownHosts: withRules(lines(65536), [
      {
        rule: "!self.matches(r'(^|\\n)[ \\t]*[^ \\t\\r\\n#]') || self.matches(r'(^|\\n)[ \\t]*(@[a-z-]+[ \\t]+)?[^ \\t\\n#@]+[ \\t]+[a-z0-9@.-]+[ \\t]+AAAA')",
        message:
          'knownHosts has no line of known_hosts: write a host, a key type and a key, as ssh-keyscan prints them',
        // Comments alone are no mistake.
        check: (value) =>
          !/(^|\n)[ \t]*[^ \t\r\n#]/.test(value) ||
          /(^|\n)[ \t]*(@[a-z-]+[ \t]+)?[^ \t\n#@]+[ \t]+[a-z0-9@.-]+[ \t]+AAAA/.test(value),
      },
    ])
      .exactOptional()
      .describe(
        'Host keys of bastions and jump hosts in the format of known_hosts (ssh-keyscan prints it; hashed names, wildcards, [host]:port and @revoked are understood). Host certificates are not: a @cert-authority line trusts nobody, so add the host’s own key. Public data, so it may live in Git; at most 64 KiB. The key known_hosts of the Secret is read too. A password is sent only to hosts that the Secret itself knows.',
      ),
    hostKeyPolicy: z
      .enum(['Strict', 'InsecureIgnore'])
      .default('Strict')
      .describe(
        'Strict: a bastion whose host key is not known is refused. InsecureIgnore: any key is accepted, which lets anyone in between read and change everything; refused unless the operator runs with --allow-insecure-host-keys.',
      ),
    serverAliveIntervalSeconds: integer(1, 60)
      .default(2)
      .describe(
        'After this many seconds without a byte from the bastion, it is asked for a sign of life. After twice as many, new connections use another session.',
      ),
    connectTimeoutSeconds: integer(1, 120)
      .default(10)
      .describe('How long one attempt may take, from TCP connect to the end of the login.'),
  }),
  [
    {
      rule: 'has(self.secretRef) || (self.bastions.all(hop, has(hop.secretRef)) && (!has(self.jumpHosts) || self.jumpHosts.all(hop, has(hop.secretRef))))',
      message:
        'ssh.secretRef is missing: name the Secret with the key or password (or give every bastion and jump host its own secretRef)',
      fieldPath: '.secretRef',
      check: (ssh) =>
        ssh.secretRef !== undefined ||
        [...ssh.bastions, ...(ssh.jumpHosts ?? [])].every((each) => each.secretRef !== undefined),
    },
  ],
).describe(
  'Reach the private network through OpenSSH bastions. Example: {user: tunnel, bastions: [{host: bastion.example.com}], secretRef: {name: bastion-key}, knownHosts: "bastion.example.com ssh-ed25519 AAAA…"}.',
);
