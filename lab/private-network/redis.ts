// A real Redis server for one test. Neighbours: sshd.ts, postgres.ts; lab/process/child.ts owns the process.
import { Child } from '../process/child.ts';
import { onFreePorts } from '../process/ports.ts';

export interface Redis {
  readonly host: string;
  readonly port: number;
  kill(): Promise<void>;
  start(): Promise<void>;
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

/** Resolves when it accepts commands; keeps nothing on disk. */
export async function startRedis(
  options: { readonly host?: string; readonly port?: number; readonly namespace?: string } = {},
): Promise<Redis> {
  const host = options.host ?? '127.0.0.1';
  let port = options.port ?? 0;
  let child: Child;
  const start = async (): Promise<void> => {
    const own = [
      'redis-server',
      '--bind',
      host,
      '--port',
      `${port}`,
      '--save',
      '',
      '--appendonly',
      'no',
      '--protected-mode',
      'no',
    ];
    const [first = '', ...rest] =
      options.namespace === undefined ? own : ['ip', 'netns', 'exec', options.namespace, ...own];
    child = new Child('redis-server', first, rest);
    await child.line(/Ready to accept connections/);
  };
  if (options.port !== undefined) await start();
  else {
    await onFreePorts(1, options.namespace === undefined ? host : undefined, async ([free = 0]) => {
      port = free;
      await start();
    });
  }
  return {
    host,
    port,
    kill: () => child.kill(),
    start,
    pause: () => child.signal('SIGSTOP'),
    resume: () => child.signal('SIGCONT'),
    stop: () => child.stop(),
  };
}
