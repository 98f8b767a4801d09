// The kind PortForward as one zod schema: the only source of the TypeScript types, the CRD, its copy in the chart, the reference page
// and the verdict of `portforward check`. Each block of the spec has its own file; here they meet, with the rules that span blocks.
// Neighbours: parse.ts (unknown → PortForward), effective.ts (computed defaults), scripts/generate.ts (the CRD).
import { z } from 'zod';
import { accessSchema } from './access.ts';
import { integer, text } from './building-blocks.ts';
import { flySchema } from './fly.ts';
import { metadataSchema } from './metadata.ts';
import { apiVersion, kind, maxNameLength } from './names.ts';
import { podSchema } from './pod.ts';
import { portsSchema } from './ports.ts';
import { matches, type Rule, withRules, withTransition } from './rule.ts';
import { connectionSchema, healthCheckSchema, serviceSchema } from './service.ts';
import { sshSchema } from './ssh.ts';
import { maxSsmSessions, ssmSchema } from './ssm.ts';
import { statusSchema } from './status.ts';

const className = withTransition(
  withRules(text(63), [
    matches(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$/, "className is empty, or lower-case letters, digits and '-'"),
  ]),
  {
    rule: 'self == oldSelf',
    message: 'className is immutable: delete the PortForward and create it again with the other class',
  },
);

const specShape = z.strictObject({
  className: className
    .default('')
    .describe(
      'Which install of the operator acts on it, if a cluster has several. Empty: the one without a class. Immutable.',
    ),
  suspend: z.boolean().default(false).describe('True: no tunnel pods run; the Service and its address are kept.'),
  replicas: integer(0, 20)
    .default(2)
    .describe(
      'Number of tunnel pods; each holds a tunnel of its own. Two survive the loss of a node without a dropped address. 0 turns the tunnel off. kubectl scale works.',
    ),
  ports: portsSchema,
  ssh: sshSchema.exactOptional(),
  ssm: ssmSchema.exactOptional(),
  fly: flySchema.exactOptional(),
  service: serviceSchema,
  connection: connectionSchema,
  healthCheck: healthCheckSchema,
  access: accessSchema.exactOptional(),
  pod: podSchema.exactOptional(),
});

type SpecShape = z.output<typeof specShape>;

const specRules: readonly Rule<SpecShape>[] = [
  {
    rule: '[has(self.ssh), has(self.ssm), has(self.fly)].exists_one(given, given)',
    message: 'spec needs exactly one of ssh, ssm and fly: it says how the private network is reached',
    check: (spec) => [spec.ssh, spec.ssm, spec.fly].filter((driver) => driver !== undefined).length === 1,
  },
  {
    rule: 'has(self.ssh) || self.ports.all(port, !has(port.destinationSocket))',
    message: 'destinationSocket works with ssh only: with ssm and fly give destinationHost and destinationPort',
    fieldPath: '.ports',
    check: (spec) => spec.ssh !== undefined || spec.ports.every((port) => port.destinationSocket === undefined),
  },
  {
    rule: '!has(self.fly) || has(self.fly.app) || !has(self.fly.org) || self.ports.all(port, has(port.destinationHost))',
    message: 'with fly.org every port needs a destinationHost, as in orders-db.internal; only fly.app gives a default',
    fieldPath: '.ports',
    check: (spec) =>
      spec.fly === undefined ||
      spec.fly.app !== undefined ||
      spec.fly.org === undefined ||
      spec.ports.every((port) => port.destinationHost !== undefined),
  },
  {
    rule: `!has(self.ssm) || size(self.ports) * self.ssm.sessions * self.replicas <= ${maxSsmSessions}`,
    message: `ports × ssm.sessions × replicas is more than ${maxSsmSessions}: lower sessions or replicas, or split the ports over several PortForwards`,
    fieldPath: '.ssm.sessions',
    check: (spec) => spec.ssm === undefined || spec.ports.length * spec.ssm.sessions * spec.replicas <= maxSsmSessions,
  },
  {
    rule: "!has(self.ssm) || self.ssm.irsaRoleArn == '' || !has(self.pod) || !has(self.pod.serviceAccountName)",
    message:
      'irsaRoleArn is for the ServiceAccount that the operator makes: leave it out, and annotate the one of pod.serviceAccountName with eks.amazonaws.com/role-arn',
    fieldPath: '.ssm.irsaRoleArn',
    check: ({ ssm, pod }) => ssm === undefined || ssm.irsaRoleArn === '' || pod?.serviceAccountName === undefined,
  },
];

const specSchema = withRules(specShape, specRules).describe('The desired tunnel.');

export const PortForwardSchema = withRules(
  z.strictObject({
    apiVersion: z.literal(apiVersion).describe('portforward.dev/v1alpha1'),
    kind: z.literal(kind).describe('PortForward'),
    metadata: metadataSchema,
    spec: specSchema,
    status: statusSchema.exactOptional(),
  }),
  [
    // One rule for each fault: who misses one is not told all of them.
    {
      rule: `size(self.metadata.name) <= ${maxNameLength}`,
      message: `metadata.name has at most ${maxNameLength} characters: choose a shorter one`,
      fieldPath: '.metadata.name',
      check: ({ metadata: { name = '' } }) => name.length <= maxNameLength,
    },
    {
      rule: "!self.metadata.name.contains('.')",
      message: "metadata.name has no dot: write '-' in its place",
      fieldPath: '.metadata.name',
      check: ({ metadata: { name = '' } }) => !name.includes('.'),
    },
    {
      rule: "self.metadata.name.matches('^[a-z]')",
      message: 'metadata.name begins with a lower-case letter: the Service of that name must',
      fieldPath: '.metadata.name',
      check: ({ metadata: { name } }) => name === undefined || /^[a-z]/.test(name),
    },
    {
      rule: "!self.metadata.name.matches('^[a-z]') || self.metadata.name.matches('^[a-z0-9.-]*[a-z0-9]$')",
      message: "metadata.name is made of lower-case letters, digits and '-', and ends with a letter or digit",
      fieldPath: '.metadata.name',
      check: ({ metadata: { name } }) =>
        name === undefined || !/^[a-z]/.test(name) || /^[a-z0-9.-]*[a-z0-9]$/.test(name),
    },
  ],
).describe(
  'A PortForward gives ports of a private network a stable address in the cluster: pods hold a tunnel (SSH or AWS Session Manager), and a Service leads to them. Applications dial the Service as if the database ran next to them.',
);

export type PortForward = z.output<typeof PortForwardSchema>;
export type PortForwardSpec = z.output<typeof specSchema>;
