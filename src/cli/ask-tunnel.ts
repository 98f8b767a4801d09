// `portforward doctor` inside a tunnel pod, as `kubectl exec` starts it: asks the sidecar that runs there to walk, and prints what it says.
// It loads nothing else, because its memory counts against the tunnel's limit.
// Neighbours: contract/doctor.ts (what is said), sidecar/doctor/doctor-server.ts (the other end), kubectl/doctor.ts (calls it).
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { type DoctorMessage, doctorSocket } from '../contract/doctor.ts';

export interface AskTunnelOptions {
  /** Default: the socket of the pod. */
  readonly path?: string;
  readonly output: 'text' | 'json';
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
}

/** Resolves with the exit code: 0 if every step succeeded, else 1. */
export async function askTunnel({ path = doctorSocket, output, print, complain }: AskTunnelOptions): Promise<number> {
  const socket = connect(path);
  let hasAnswered = false;
  socket.write(`${output}\n`);
  for await (const text of linesOf(socket)) {
    hasAnswered = true;
    const message = JSON.parse(text) as DoctorMessage;
    if ('exit' in message) return message.exit;
    if ('error' in message) {
      complain(message.error);
      return 1;
    }
    print(message.line);
  }
  complain(
    hasAnswered
      ? 'the tunnel of this pod ended during the walk: kubectl logs says why'
      : 'no tunnel answers here. In a tunnel pod: it is starting. On a laptop: name the document with -f, or call kubectl portforward doctor NAME',
  );
  return 1;
}

/** Ends with the connection, however that ends. */
async function* linesOf(socket: Socket): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: socket });
  } catch {
    // Whoever reads the lines knows what is missing.
  }
}
