// spec.service, spec.connection and spec.healthCheck: how the tunnel looks to applications, and how it is judged.
// Neighbours: portforward.ts, effective.ts (health mode per port).
import { z } from 'zod';
import { integer } from './building-blocks.ts';
import { ownAnnotations, ownLabels, serviceName } from './names.ts';
import { withRules } from './rule.ts';

export const serviceSchema = z
  .strictObject({
    name: serviceName()
      .exactOptional()
      .describe(
        'Name of the Service, so also the host name that applications dial. Default: the name of the PortForward.',
      ),
    type: z
      .enum(['ClusterIP', 'NodePort', 'LoadBalancer'])
      .default('ClusterIP')
      .describe(
        'Type of the Service. NodePort and LoadBalancer expose the private network to others and work only if the operator allows them.',
      ),
    annotations: ownAnnotations('service.annotations')
      .exactOptional()
      .describe('Annotations for the Service; only prefixes that the operator allows.'),
    labels: ownLabels('service.labels').exactOptional().describe("Labels for the Service; the operator's own win."),
  })
  .prefault({})
  .describe('The Service that gives the tunnel a stable address in the cluster.');

export const connectionSchema = z
  .strictObject({
    mode: z
      .enum(['Persistent', 'OnDemand'])
      .default('Persistent')
      .describe(
        'Persistent: the tunnel is always up. OnDemand: opened by the first client and closed when there was none for idleTimeoutSeconds; nothing is probed while it is closed.',
      ),
    idleTimeoutSeconds: integer(10, 86400)
      .default(600)
      .describe(
        'With OnDemand: seconds without any client connection after which the tunnel closes. Client connections are never closed for being idle.',
      ),
    maxConnections: integer(1, 10000)
      .default(1000)
      .describe(
        'Most client connections that one pod carries at a time. Half of them are divided into shares, one for each port; further clients are told ConnectionLimit.',
      ),
    drainTimeoutSeconds: integer(0, 3600)
      .default(30)
      .describe('How long open connections may last after the pod was told to stop, before they are reset.'),
  })
  .prefault({})
  .describe('How connections of clients are carried.');

export const healthCheckSchema = withRules(
  z.strictObject({
    destination: z
      .enum(['Active', 'Passive', 'Off'])
      .exactOptional()
      .describe(
        "How destinations are judged. Active: probed every interval in the port's protocol. Passive: one dial when the tunnel comes up, then the results of clients' own dials. Off (write it in quotes, because YAML reads a bare Off as false): never. Default, by appProtocol: Active for postgresql, redis and http; Passive for tcp, tls and mysql, which may count a half-open probe as an attack.",
      ),
    intervalSeconds: integer(1, 3600).default(10).describe('Seconds between two active probes.'),
    timeoutSeconds: integer(1, 60).default(3).describe('Seconds that a probe may take; at most intervalSeconds.'),
    failureThreshold: integer(1, 20)
      .default(3)
      .describe(
        'This many failures in a row, after a success, make a destination unreachable. The very first result decides at once.',
      ),
    readinessPolicy: z
      .enum(['Transport', 'Destination'])
      .default('Transport')
      .describe(
        "What makes a tunnel pod ready. Transport: the tunnel is up, so that one dead database does not take its siblings' ports away. Destination: every port is reachable as well.",
      ),
  }),
  [
    {
      rule: 'self.timeoutSeconds <= self.intervalSeconds',
      message: 'timeoutSeconds must not exceed intervalSeconds: lower it, or probe less often',
      fieldPath: '.timeoutSeconds',
      check: (health) => health.timeoutSeconds <= health.intervalSeconds,
    },
  ],
)
  .prefault({})
  .describe('How the destinations are watched.');
