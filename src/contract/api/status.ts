// status: what the operator reports. Nothing else writes it.
// Neighbours: condition.ts (types and reasons), portforward.ts; controller/status computes it.
import { z } from 'zod';
import { boundedText, integer, listBy } from './building-blocks.ts';
import { conditionTypes } from './condition.ts';

const time = () => z.string().max(64).meta({ format: 'date-time' });

/** A Kubernetes condition (metav1.Condition). */
const conditionSchema = z.strictObject({
  type: z.enum(conditionTypes).describe('What it is about.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('True, False or Unknown.'),
  reason: boundedText(128, 1).describe('One word for programs and for searching; docs/errors.md explains each.'),
  message: boundedText(4096).describe('A sentence for people: what is wrong, and how to fix it.'),
  lastTransitionTime: time().describe('When status last changed.'),
  observedGeneration: integer(-1, Number.MAX_SAFE_INTEGER)
    .describe('The generation of the document that it describes.')
    .exactOptional(),
});

const portStatusSchema = z.strictObject({
  name: boundedText(15, 1).describe('Name of the port.'),
  address: boundedText(320).describe('Address that applications dial, as in orders-db.shop.svc:5432.'),
  destination: boundedText(512).describe('Where it leads.'),
  reachable: z.boolean().exactOptional().describe('Whether the destination answered last. Absent: not known.'),
  message: boundedText(1024).exactOptional().describe('Why it is not reachable.'),
});

const tunnelStatusSchema = z.strictObject({
  pod: boundedText(253, 1).describe('Name of the pod.'),
  via: boundedText(320).exactOptional().describe('The bastion, node or gateway that carries new connections.'),
  state: boundedText(32).describe('Idle, Connecting, Connected, Full, Failed, Draining or Unknown.'),
  since: time().exactOptional().describe('Since when.'),
  message: boundedText(1024).exactOptional().describe('Why it is not connected, or which clients it refuses.'),
  hostKeyFingerprint: boundedText(128).exactOptional().describe("Fingerprint of the bastion's host key (ssh)."),
  sessionId: boundedText(128).exactOptional().describe('Id of the session (ssm).'),
  transport: boundedText(16).exactOptional().describe('How WireGuard travels: UDP or WebSocket (fly).'),
});

const routeStatusSchema = z.strictObject({
  via: boundedText(320, 1).describe('The bastion, node or gateway.'),
  state: z
    .enum(['InUse', 'StandingBy', 'Untried', 'Failed'])
    .describe(
      'InUse: it carries new connections of a pod. StandingBy: the last login worked. Failed: it would not help.',
    ),
  since: time().exactOptional().describe('Since when.'),
  message: boundedText(1024).exactOptional().describe('Why it has failed.'),
});

export const statusSchema = z
  .strictObject({
    observedGeneration: integer(-1, Number.MAX_SAFE_INTEGER)
      .exactOptional()
      .describe('The generation of the document that the status describes; -1 until the operator has seen it.'),
    conditions: listBy('type', conditionSchema, 16)
      .exactOptional()
      .describe(
        'Accepted, Programmed, Connected, DestinationReachable and Ready; CredentialsCurrent where Secrets are used; Reconciling and Stalled while they hold.',
      ),
    driver: boundedText(16).exactOptional().describe('ssh, ssm or fly.'),
    address: boundedText(320).exactOptional().describe('Host name that applications dial, as in orders-db.shop.svc.'),
    replicas: integer(0, 1000).exactOptional().describe('Tunnel pods.'),
    readyReplicas: integer(0, 1000).exactOptional().describe('Tunnel pods that are ready.'),
    readyPods: boundedText(16).exactOptional().describe('Pods that are ready and pods that are wanted, as in 1/2.'),
    selector: boundedText(512)
      .exactOptional()
      .describe('Label selector of the tunnel pods, for the scale subresource.'),
    via: boundedText(1024).exactOptional().describe('The bastions, nodes or gateways of the ready pods.'),
    routes: listBy('via', routeStatusSchema, 64)
      .exactOptional()
      .describe('Each bastion, node or gateway, over all pods.'),
    destinations: boundedText(1024).exactOptional().describe('The destinations of all ports, for the printer column.'),
    ports: listBy('name', portStatusSchema, 64).exactOptional().describe('Each port, its address and its destination.'),
    tunnels: listBy('pod', tunnelStatusSchema, 64).exactOptional().describe('Each tunnel pod.'),
  })
  .describe('What the operator tells of the tunnel.');

export type Condition = z.output<typeof conditionSchema>;
export type PortForwardStatus = z.output<typeof statusSchema>;
export type PortForwardPortStatus = z.output<typeof portStatusSchema>;
export type PortForwardRouteStatus = z.output<typeof routeStatusSchema>;
export type PortForwardTunnelStatus = z.output<typeof tunnelStatusSchema>;
