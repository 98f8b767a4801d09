// The one document that the controller (or `portforward open`) writes and the sidecar reads: which driver, which forwards, which
// limits. Versioned, and unknown fields are ignored, because operator and sidecar differ in version while an upgrade rolls out.
// Neighbours: tunnel-config-of.ts and cli/ compute it from a PortForward; sidecar/main.ts parses it.
import { z } from 'zod';
import { TunnelError } from './errors.ts';
import { hostPort } from './ip-address.ts';

const seconds = z.number().nonnegative();

/** Where bytes must end: a host and port as the bastion resolves them, or a unix socket on the bastion (ssh only). */
const destinationSchema = z.union([
  z.object({ socket: z.string() }),
  z.object({ host: z.string(), port: z.number().int() }),
]);

/** One pair: local port → destination. */
const forwardSchema = z.object({
  /** The port's name in the Service; also the container port's. */
  name: z.string(),
  /** The Service's port: what people know the forward by. */
  port: z.number().int(),
  /** The port to listen on; 0 lets the kernel choose (tests, laptop). */
  listenPort: z.number().int(),
  destination: destinationSchema,
  appProtocol: z.enum(['tcp', 'tls', 'http', 'postgresql', 'mysql', 'redis']),
  /** Active: probed every interval. Passive: one dial when the session comes up, then the clients' own dials. Off: never judged. */
  health: z.enum(['Active', 'Passive', 'Off']),
});

/** Files of one Secret: its name for sentences, and the directory that is read anew on every change. */
const credentialsSchema = z.object({ secretName: z.string(), directory: z.string() });

/** One machine on the way: a bastion or a jump host. */
const hopSchema = z.object({
  host: z.string(),
  port: z.number().int(),
  user: z.string(),
  credentials: credentialsSchema.optional(),
});

const sshSchema = z.object({
  /** Tried in this order (Ordered) or in the order of a rendezvous hash of the pod's UID (Spread). */
  bastions: z.array(hopSchema).min(1),
  bastionPolicy: z.enum(['Ordered', 'Spread']),
  /** ssh_config ProxyJump order: the first is dialled from here, the bastion is reached through the last. */
  jumpHosts: z.array(hopSchema),
  /** Public known_hosts lines of the document; each Secret's own known_hosts file is read too. */
  knownHosts: z.string(),
  hostKeyPolicy: z.enum(['Strict', 'InsecureIgnore']),
  serverAliveIntervalSeconds: seconds,
  connectTimeoutSeconds: seconds,
});

/** One of: the managed node by its id (`i-…`, `mi-…`), every connected node with all these tags, a running task of an ECS service. */
const ssmTargetSchema = z.union([
  z.object({ instanceId: z.string() }),
  z.object({ tags: z.record(z.string(), z.string()) }),
  z.object({ ecsTask: z.object({ cluster: z.string(), service: z.string(), container: z.string() }) }),
]);

const ssmSchema = z.object({
  /** Becomes part of host names that get signed requests, so it must be one label. */
  region: z.string().regex(/^[a-z0-9-]+$/, 'is the name of an AWS region'),
  target: ssmTargetSchema,
  /** A role to take on with the tunnel's own identity. */
  assumeRole: z
    .object({
      roleArn: z.string(),
      externalId: z.string().exactOptional(),
      sessionTags: z.record(z.string(), z.string()).exactOptional(),
    })
    .exactOptional(),
  /** Static keys; absent: web identity, Pod Identity, or what a laptop has. */
  credentials: credentialsSchema.exactOptional(),
  /** Parallel sessions to each destination. */
  sessions: z.number().int().min(1),
  /** The account's limit on a session's life in minutes; 0 if there is none that is known. */
  maxSessionMinutes: z.number().nonnegative(),
  /** Private endpoints; empty: AWS's own of the region. */
  endpoints: z.object({ ssm: z.string(), ssmmessages: z.string(), sts: z.string(), ecs: z.string() }),
});

const flySchema = z.object({
  /** The app whose network is joined; absent: `org` names the organization. */
  app: z.string().exactOptional(),
  org: z.string().exactOptional(),
  /** Empty: the organization's default network. Only with `org`. */
  network: z.string(),
  /** Of the gateway; empty: the nearest. */
  region: z.string(),
  credentials: credentialsSchema,
  transport: z.enum(['Auto', 'UDP', 'WebSocket']),
  /** Where the peer's key is kept for the next process of this pod, in memory; empty: it is not kept. */
  directory: z.string(),
});

const common = {
  version: z.literal(1),
  namespace: z.string(),
  name: z.string(),
  forwards: z.array(forwardSchema).min(1),
  connection: z.object({
    mode: z.enum(['Persistent', 'OnDemand']),
    idleTimeoutSeconds: seconds,
    /** Open client connections per pod; one more is told ConnectionLimit. */
    maxConnections: z.number().int(),
    drainTimeoutSeconds: seconds,
  }),
  healthCheck: z.object({
    intervalSeconds: seconds,
    timeoutSeconds: seconds,
    failureThreshold: z.number().int(),
    readinessPolicy: z.enum(['Transport', 'Destination']),
  }),
};

/** The drivers' blocks are a union by `driver`: a new driver is one more member, and every table then fails to compile without it. */
export const tunnelConfigSchema = z.discriminatedUnion('driver', [
  z.object({ ...common, driver: z.literal('ssh'), ssh: sshSchema }),
  z.object({ ...common, driver: z.literal('ssm'), ssm: ssmSchema }),
  z.object({ ...common, driver: z.literal('fly'), fly: flySchema }),
]);

export type TunnelConfig = z.infer<typeof tunnelConfigSchema>;
export type DriverName = TunnelConfig['driver'];
export type SshConfig = z.infer<typeof sshSchema>;
export type SsmConfig = z.infer<typeof ssmSchema>;
export type FlyConfig = z.infer<typeof flySchema>;
export type Hop = z.infer<typeof hopSchema>;
export type Credentials = z.infer<typeof credentialsSchema>;
export type Forward = z.infer<typeof forwardSchema>;
export type Destination = z.infer<typeof destinationSchema>;
export type AppProtocol = Forward['appProtocol'];

/** Parses the environment variable. @throws TunnelError ConfigUnreadable, naming each field that is wrong. */
export function parseTunnelConfig(text: string): TunnelConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TunnelError('ConfigUnreadable', 'the tunnel configuration is not JSON', { cause });
  }
  const parsed = tunnelConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new TunnelError('ConfigUnreadable', `the tunnel configuration is not valid: ${fields}`);
}

/** `orders.db.internal:5432`, `[::1]:5432` or the socket's path: how a destination is written in every sentence and in status. */
export function destinationText(destination: Destination): string {
  if ('socket' in destination) return destination.socket;
  return hostPort(destination.host, destination.port);
}
