// The name or address of a machine: bastions, jump hosts, destinations. Refuses the four things that people paste there (a URL,
// user@host, host:port, an option that begins with a dash), each with a sentence that says what to write.
// Neighbours: ssh.ts, ports.ts.
import { text } from './building-blocks.ts';
import { matches, withRules } from './rule.ts';

/** A DNS name, an IPv4 address or an IPv6 address without brackets. */
export const host = () =>
  withRules(text(253, 1), [
    {
      rule: "!self.startsWith('-')",
      message: 'a host must not begin with a dash: write a DNS name or an address',
      check: (value) => !value.startsWith('-'),
    },
    {
      rule: "!self.contains('://')",
      message: 'a host is not a URL: write the name alone, as in bastion.example.com, and the port in its own field',
      check: (value) => !value.includes('://'),
    },
    {
      rule: "!self.contains('@')",
      message: 'a host carries no user: write the name alone, and the user in the field user',
      check: (value) => !value.includes('@'),
    },
    {
      rule: "self.contains('://') || self.contains('@') || self.matches('^[A-Za-z0-9._:%-]+$')",
      message:
        'a host is one DNS name, IPv4 address or IPv6 address without brackets: no spaces, slashes or other characters',
      check: (value) => value.includes('://') || value.includes('@') || /^[A-Za-z0-9._:%-]+$/.test(value),
    },
    {
      rule: "self.contains('://') || !self.matches('^[^:]*:[^:]*$')",
      message: 'a host carries no port: write the name alone, and the port in its own field',
      check: (value) => value.includes('://') || !/^[^:]*:[^:]*$/.test(value),
    },
    {
      rule: "self.contains('://') || !self.matches('^[^:]*:[^:]*:') || self.matches('^[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?$')",
      message: 'an IPv6 address is made of hexadecimal digits and colons, without brackets and without a port',
      check: (value) =>
        value.includes('://') || !/^[^:]*:[^:]*:/.test(value) || /^[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?$/.test(value),
    },
  ]);

/** A user's name at a bastion. */
export const userName = () =>
  // Access proxies put target and user into the name: Warpgate, JumpServer, CyberArk.
  withRules(text(256, 1), [
    matches(/^[^-]/, 'a user must not begin with a dash'),
    matches(/^[!-~]+$/, 'a user is made of printable ASCII characters without spaces'),
  ]);
