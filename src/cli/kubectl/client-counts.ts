// How many clients each port of a tunnel has now: its pods are asked at their admin port, through `kubectl port-forward`, because a
// NetworkPolicy lets only operator and kubelet in. Nothing of it stays: kubectl is ended as soon as the pod has answered, or with us.
// Neighbours: tunnel-state.ts (what it is added to), stale-status.ts (compares it), contract/tunnel-status.ts (the answer).
import { createInterface } from 'node:readline/promises';
import { adminPort } from '../../contract/pod.ts';
import { tunnelStatusSchema } from '../../contract/tunnel-status.ts';
import { abortable } from '../../process/abort.ts';
import { deadline } from '../../process/deadline.ts';
import type { Kubectl } from './kubectl.ts';
import { type PodAnswer, staleness } from './stale-status.ts';
import type { TunnelState } from './tunnel-state.ts';

/** Each costs a kubectl and a connection to the API server. */
const maxPods = 16;
const atOnce = 4;
const deadlineMs = 6_000;

/**
 * Adds the clients of every port where all pods answered; where one did not, or there are too many pods, the ports stay as they are. A status
 * that a pod contradicts is told as such.
 */
export async function withClients(kubectl: Kubectl, tunnels: readonly TunnelState[]): Promise<readonly TunnelState[]> {
  const pods = tunnels.flatMap(({ namespace, tunnels: of }) => of.map(({ pod }) => ({ namespace, pod })));
  if (pods.length === 0 || pods.length > maxPods) return tunnels;
  const answers = new Map<string, PodAnswer | undefined>();
  const waiting = [...pods];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      answers.set(`${next.namespace}/${next.pod}`, await ask(kubectl, next));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return tunnels.map((tunnel) => {
    const of = tunnel.tunnels.map(({ pod }) => ({ pod, answer: answers.get(`${tunnel.namespace}/${pod}`) }));
    const heard = new Map(of.flatMap(({ pod, answer }) => (answer === undefined ? [] : [[pod, answer] as const])));
    const stale = staleness(tunnel, heard);
    return {
      ...tunnel,
      ports: tunnel.ports.map((port) => ({
        ...port,
        ...clientsOf(
          port.name,
          of.map(({ answer }) => answer),
        ),
      })),
      notes: [...(stale === undefined ? [] : [stale]), ...tunnel.notes],
    };
  });
}

function clientsOf(name: string, answers: readonly (PodAnswer | undefined)[]): { readonly clients?: number } {
  const counts = answers.map((answer) => answer?.status.ports.find((port) => port.name === name)?.clients);
  return counts.includes(undefined) ? {} : { clients: counts.reduce<number>((sum, count) => sum + (count ?? 0), 0) };
}

/** What the pod says of itself; undefined if it cannot be asked, for example without the right to pods/portforward. */
async function ask(
  kubectl: Kubectl,
  { namespace, pod }: { readonly namespace: string; readonly pod: string },
): Promise<PodAnswer | undefined> {
  using limit = deadline(deadlineMs, { what: `asking ${pod}` });
  const args = ['port-forward', `pod/${pod}`, `:${adminPort}`, '--address=127.0.0.1', `--namespace=${namespace}`];
  using forward = kubectl.startWhileWeLive(args);
  try {
    const port = await abortable(localPort(forward.output), { signal: limit.signal });
    if (port === undefined) return undefined;
    const answer = await fetch(`http://127.0.0.1:${port}/statusz`, { signal: limit.signal });
    const at = new Date(answer.headers.get('date') ?? Date.now());
    return { status: tunnelStatusSchema.parse(await answer.json()), at };
  } catch {
    // A count is not worth a complaint: its column stays empty.
    return undefined;
  }
}

async function localPort(output: NodeJS.ReadableStream): Promise<string | undefined> {
  for await (const line of createInterface({ input: output })) {
    const [, port] = /^Forwarding from 127\.0\.0\.1:(\d+) -> /.exec(line) ?? [];
    if (port !== undefined) return port;
  }
  return undefined;
}
