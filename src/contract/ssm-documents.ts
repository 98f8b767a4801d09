// Which of AWS's two documents for port forwarding a destination needs. No I/O.
// Neighbours: sidecar/drivers/ssm/ starts sessions with them, cli/iam-policy.ts allows them.

/** Reaches a port of the managed node itself. */
export const portDocument = 'AWS-StartPortForwardingSession';
/** Reaches a host that the managed node reaches. */
export const remoteHostDocument = 'AWS-StartPortForwardingSessionToRemoteHost';

/** Whether the host, seen from the node, is the node itself: newer agents refuse to reach it as another host. */
export function isNodeItself(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
