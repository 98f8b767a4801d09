// What a tunnel pod reports at /statusz and the controller reads there: the only way from the data path to the PortForward's status. Text in it is ours, but the controller still treats it as untrusted (length, control characters).
// Neighbours: sidecar/status.ts writes it, controller/status/ reads it.
import { z } from 'zod';

const text = z.string().max(1024);

const portStatusSchema = z.object({
  name: text,
  /** Where this pod carries the port, as destinationText writes it: an edit may name another place. Absent: an older sidecar. */
  destination: text.optional(),
  /** The last result of a probe or a client's dial; null: not known (no result yet, health Off, or Idle). */
  reachable: z.boolean().nullable(),
  /** An error code of contract/error-codes.ts when not reachable; a code this version does not know is kept as text. */
  reason: text.optional(),
  message: text.optional(),
  /** RFC 3339, since when clients of this port are refused because the pod carries all connections that it may have. Absent: they are not. */
  fullSince: text.optional(),
  /** Client connections open now. Absent: an older sidecar. */
  clients: z.int().min(0).optional(),
});

/** Idle: OnDemand without a client. Failed: the last attempt failed and the next is waited for; `reason` says why. */
const tunnelStates = ['Idle', 'Connecting', 'Connected', 'Failed', 'Draining'] as const;

/** One way to the private network, seen by this pod. */
const routeStatusSchema = z.object({
  via: text,
  /** InUse: a session over it takes connections. StandingBy: the last login worked. Untried: no result yet. */
  state: z.enum(['InUse', 'StandingBy', 'Untried', 'Failed']),
  /** RFC 3339, when `state` last changed. */
  since: text,
  /** Why it has failed: an error code and its sentence. */
  reason: text.optional(),
  message: text.optional(),
});

/** What became of the content that the Secrets have now. */
const credentialsSchema = z.object({
  /** False: a host refuses it, or it cannot be used. Null: not tried yet. */
  current: z.boolean().nullable(),
  reason: text.optional(),
  message: text.optional(),
});

/** More routes than this are not reported: tags may name any number of nodes. */
export const maxRoutes = 64;

export const tunnelStatusSchema = z.object({
  version: z.literal(1),
  state: z.enum(tunnelStates),
  /** RFC 3339, when `state` last changed. */
  since: text,
  /** `host:port` of the bastion whose session takes new connections. */
  via: text.optional(),
  /** Why there is no session: an error code and its sentence. */
  reason: text.optional(),
  message: text.optional(),
  /** SHA256:… of the bastion's host key (ssh). */
  hostKeyFingerprint: text.optional(),
  /** How the bytes of clients go, Native or JavaScript (ssh). For people: the controller ignores it. */
  dataPath: text.optional(),
  /** The session's id at the provider (ssm). */
  sessionId: text.optional(),
  /** The largest message to the node's agent, in bytes: 16,384, or 1,024 where a larger one was not carried (ssm). */
  messageBytes: z.number().optional(),
  /** How WireGuard travels: UDP or WebSocket (fly). */
  transport: text.optional(),
  /** RFC 3339, the last handshake of WireGuard (fly): a tunnel that carries makes one every two minutes. For people: the controller ignores it. */
  handshakeAt: text.optional(),
  ports: z.array(portStatusSchema).max(64),
  /** Absent: an older sidecar. */
  routes: z.array(routeStatusSchema).max(maxRoutes).optional(),
  /** Absent: an older sidecar, or no Secret is used. */
  credentials: credentialsSchema.optional(),
});

export type TunnelStatus = z.infer<typeof tunnelStatusSchema>;
export type RouteStatus = z.infer<typeof routeStatusSchema>;
export type PortStatus = z.infer<typeof portStatusSchema>;
