// The node: one process that holds namespaces of its own (processes, network, mounts, host name), as a container would. Everything
// of the cluster runs inside, so that its mounts, bridges, packet filters and routes never touch the machine's, clusters stand side
// by side, and the kernel ends all of it with that one process.
// Neighbours: host-cluster.ts starts programs in it; machine.ts links it to the host.
import { existsSync } from 'node:fs';
import type { Places } from '../base/places.ts';
import { type CommandOptions, command } from '../process/command.ts';
import type { KeptProcesses } from '../process/kept-process.ts';

const init = 'node';

/** Directories of the machine that programs of the node write into by fixed names; inside, each is empty and its own. */
export const privateDirectories = ['/run', '/var/lib/kubelet', '/var/lib/cni', '/var/log/pods', '/var/log/containers'];

export class NodeNamespace {
  readonly #kept: KeptProcesses;

  constructor(kept: KeptProcesses) {
    this.#kept = kept;
  }

  /** The id, as the machine counts, of the process that holds it; undefined if there is no node. */
  get pid(): number | undefined {
    return this.#kept.pid(init);
  }

  /** Makes an empty node, with loopback only. */
  async start(places: Places): Promise<void> {
    const ready = `${places.directory}/node-ready`;
    const namespaces = ['--pid', '--net', '--mount', '--uts', '--ipc', '--propagation', 'slave', '--mount-proc'];
    const args = [...namespaces, '--fork', '--kill-child=KILL', 'sh', '-c', nodeScript(places), 'sh', ready];
    await command('rm', ['-f', ready]);
    await this.#kept.start(init, 'unshare', args, { led: true });
    await this.#kept.until(init, async () => existsSync(ready), { timeoutMs: 10_000 });
  }

  /** Starts a kept process inside. */
  async keep(
    name: string,
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await this.#kept.start(name, 'nsenter', [...this.#enter(), program, ...args], { led: true, env });
  }

  /** Runs a program inside to its end. */
  async run(program: string, args: readonly string[], options?: CommandOptions): Promise<string> {
    return command('nsenter', [...this.#enter(), program, ...args], options);
  }

  /** Ends it with everything inside. */
  async stop(): Promise<void> {
    await this.#kept.kill(init);
  }

  #enter(): string[] {
    if (this.pid === undefined) throw new Error('the node does not run');
    return ['--target', `${this.pid}`, '--pid', '--net', '--mount', '--uts', '--ipc', '--'];
  }
}

/** What the node's first process does before it only waits. `$1` is the file that it creates when that is done. */
export function nodeScript(places: Places): string {
  const mounts = privateDirectories.map((directory) => `mount -t tmpfs -o mode=755 tmpfs ${directory}`);
  const settings = ['net/ipv4/ip_forward', 'net/bridge/bridge-nf-call-iptables'];
  return [
    'set -e',
    ...mounts,
    'mkdir /run/netns /run/lock',
    `hostname ${places.name}`,
    'ip link set lo up',
    ...settings.map((setting) => `echo 1 > /proc/sys/${setting}`),
    'touch "$1"',
    // Its only tasks: stay, and bury the processes that lose their parents.
    'exec catatonit -P',
  ].join('\n');
}
