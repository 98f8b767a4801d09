// spec.ports: which port of the Service leads to which destination. Defaults that depend on another field are computed in
// effective.ts, never written in the schema: a schema default would break the exclusion rules and the list's key.
// Neighbours: portforward.ts (rules over the whole list and the driver), effective.ts.
import { z } from 'zod';
import { integer, listBy, text } from './building-blocks.ts';
import { host } from './host.ts';
import { matches, withRules } from './rule.ts';

const appProtocols = ['postgresql', 'mysql', 'redis', 'http', 'tls', 'tcp'] as const;

/** One forward. */
const portSchema = withRules(
  z.strictObject({
    port: integer(1, 65535).describe(
      'The port of the Service: what applications dial. Each port number may be used once.',
    ),
    name: withRules(text(15, 1), [
      matches(
        /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
        "a port's name is made of lower-case letters, digits and '-', and begins and ends with a letter or digit",
      ),
      {
        rule: "self.matches('[a-z]') && !self.contains('--')",
        message: "a port's name has at least one letter and no two dashes in a row",
        check: (value) => /[a-z]/.test(value) && !value.includes('--'),
      },
      {
        rule: "!self.startsWith('pf-')",
        message: 'names that begin with pf- belong to the operator: choose another name for the port',
        check: (value) => !value.startsWith('pf-'),
      },
    ])
      .exactOptional()
      .describe(
        'Name of the port in the Service, in status and in metrics: at most 15 lower-case letters, digits and dashes. Default: p and the port number, as in p5432.',
      ),
    destinationHost: host()
      .exactOptional()
      .describe(
        'Where the bytes go, as seen from the far side of the tunnel: a DNS name (resolved there, not in the cluster) or an address. Default: localhost, a service on the intermediate server itself; with fly, <app>.internal.',
      ),
    destinationPort: integer(1, 65535).exactOptional().describe('Port of the destination. Default: the same as port.'),
    destinationSocket: withRules(text(107, 1), [
      {
        rule: "self.startsWith('/')",
        message:
          'destinationSocket is the absolute path of a unix socket on the bastion, as in /run/postgresql/.s.PGSQL.5432',
        check: (value) => value.startsWith('/'),
      },
    ])
      .exactOptional()
      .describe(
        'Path of a unix socket on the bastion, instead of destinationHost and destinationPort. Only with ssh. Example: /run/postgresql/.s.PGSQL.5432.',
      ),
    appProtocol: z
      .enum(appProtocols)
      .default('tcp')
      .describe(
        'What is spoken on this port. It chooses how the destination is probed (postgresql, redis and http are probed actively by default) and in which language a client is told why the tunnel cannot carry it (postgresql, mysql, redis, http). The bytes are never changed.',
      ),
  }),
  [
    {
      // Keeps computed names (p<port>) unique without a comparison of all pairs, which would exceed the CEL budget.
      rule: "!has(self.name) || !self.name.matches('^p[0-9]+$') || int(self.name.substring(1)) == self.port",
      message:
        'a name of p and a number is what a port without a name gets: use the number of this port, or another name',
      fieldPath: '.name',
      check: ({ name, port }) => name === undefined || !/^p[0-9]+$/.test(name) || Number(name.slice(1)) === port,
    },
    {
      rule: '!has(self.destinationSocket) || (!has(self.destinationHost) && !has(self.destinationPort))',
      message:
        'destinationSocket excludes destinationHost and destinationPort: a unix socket is on the bastion itself; keep one or the other',
      fieldPath: '.destinationSocket',
      check: (port) =>
        port.destinationSocket === undefined ||
        (port.destinationHost === undefined && port.destinationPort === undefined),
    },
  ],
);

export type PortSpec = z.output<typeof portSchema>;

/** The name of a port, computed if it is not given. */
export const portName = (port: Pick<PortSpec, 'port' | 'name'>): string => port.name ?? `p${port.port}`;

export const portsSchema = withRules(listBy('port', portSchema, 64, 1), [
  {
    rule: 'self.all(a, !has(a.name) || self.exists_one(b, has(b.name) && b.name == a.name))',
    message: 'two ports have the same name: give each a name of its own',
    check: (ports) => {
      const names = ports.flatMap(({ name }) => name ?? []);
      return new Set(names).size === names.length;
    },
  },
]).describe('The ports of the Service, each with its destination. At least one; the port number tells them apart.');
