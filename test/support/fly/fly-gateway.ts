// A gateway of fly.io with its private network, as a process: started, told what to be, ended.
// Neighbours: gateway/ (the program, in Go), fly-api.ts registers peers with it, fly-world.ts puts both together.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { goProgram } from '../go-program.ts';

export interface Switches {
  /** Peers are installed at their first initiation, which is dropped; the gateway initiates in its turn. */
  readonly justInTime?: boolean;
  readonly dropUdp?: boolean;
  readonly refuseWs?: boolean;
  /** Takes and sends nothing at all. */
  readonly silent?: boolean;
  /** As under load: an initiation is taken only with a cookie, which an earlier one was answered by. */
  readonly asksCookies?: boolean;
  /** Each answer of the name server leads a careless reader around forever. */
  readonly hostileNames?: boolean;
}

/** What a relay does to datagrams, in each direction. */
export interface Impairment {
  readonly seed?: number;
  /** Of a hundred datagrams. */
  readonly loss?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  readonly reorder?: number;
  readonly delayMs?: number;
  /** By up to so much longer, another time every 20 ms; the order stays. */
  readonly jitterMs?: number;
  /** Longer IPv4 packets are dropped without a word. */
  readonly pathMtu?: number;
}

export interface GatewayPlace {
  readonly listen: string;
  readonly udpPort?: number;
  readonly wsPort?: number;
  /** The network, such as `fdaa:0:18::/48`. */
  readonly network: string;
  /** The far side is the kernel’s TCP behind a TUN device; only inside `namespace`. */
  readonly kernelTcp?: boolean;
  readonly namespace?: string;
  /** How long the far side keeps a connection that it ended, and drops new ones between the same ports. Default: 60 s. */
  readonly timeWaitMs?: number;
  /** The far side, if it is not the kernel’s, goes on sending after an outage as Linux does; gVisor by itself trickles. */
  readonly withoutRack?: boolean;
}

interface Result {
  readonly id: number;
  readonly error?: string;
  readonly publicKey?: string;
  readonly udpPort?: number;
  readonly wsPort?: number;
  readonly asked?: readonly string[];
  readonly received?: number;
  readonly sent?: number;
}

export class FlyGateway {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (result: Result) => void>();
  #nextId = 1;
  publicKey = '';
  udpPort = 0;
  wsPort = 0;

  static async start({ namespace, ...place }: GatewayPlace): Promise<FlyGateway> {
    const directory = join(import.meta.dirname, 'gateway');
    const program = await goProgram({ name: 'fly-gateway', directory, package: '.' });
    const gateway = new FlyGateway(namespace === undefined ? [program] : ['ip', 'netns', 'exec', namespace, program]);
    const { publicKey = '', udpPort = 0, wsPort = 0 } = await gateway.#order({ op: 'start', ...place });
    gateway.publicKey = publicKey;
    gateway.udpPort = udpPort;
    gateway.wsPort = wsPort;
    return gateway;
  }

  private constructor([program = '', ...args]: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const result = JSON.parse(line) as Result;
      this.#waiting.get(result.id)?.(result);
      this.#waiting.delete(result.id);
    });
  }

  async addPeer(publicKey: string, address: string): Promise<void> {
    await this.#order({ op: 'peer', publicKey, address });
  }

  async removePeer(publicKey: string): Promise<void> {
    await this.#order({ op: 'removePeer', publicKey });
  }

  /** Begins a handshake with that peer; WireGuard begins none within 5 s of the one before. */
  async handshake(publicKey: string): Promise<void> {
    await this.#order({ op: 'handshake', publicKey });
  }

  /** Handshake initiations since the start. */
  async initiations(): Promise<{ readonly received: number; readonly sent: number }> {
    const { received = 0, sent = 0 } = await this.#order({ op: 'initiations' });
    return { received, sent };
  }

  /** Connections to that address and port of the network are carried to `target`, `host:port` of this machine. */
  async addMachine(address: string, port: number, target: string): Promise<void> {
    await this.#order({ op: 'machine', address, port, target });
  }

  async removeMachine(address: string, port: number): Promise<void> {
    await this.#order({ op: 'removeMachine', address, port });
  }

  /** The Machine of that address is gone without a word: every packet to it is dropped. */
  async lose(address: string): Promise<void> {
    await this.#order({ op: 'lose', address });
  }

  /** Another way to this gateway, by UDP. Gives its port. */
  async relay(listen: string, impairment: Impairment = {}, udpPort = 0): Promise<number> {
    return (await this.#order({ op: 'relay', listen, udpPort, impairment })).udpPort ?? 0;
  }

  async closeRelay(listen: string, udpPort: number): Promise<void> {
    await this.#order({ op: 'closeRelay', listen, udpPort });
  }

  /** All names of the network, each with its addresses; a name that is not among them is unknown. */
  async setNames(
    names: Readonly<Record<string, readonly string[]>>,
    texts: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await this.#order({ op: 'names', names, texts });
  }

  /** The names that were asked for since the last call. */
  async askedNames(): Promise<readonly string[]> {
    return (await this.#order({ op: 'asked' })).asked ?? [];
  }

  async set(switches: Switches): Promise<void> {
    await this.#order({ op: 'switch', ...switches });
  }

  /** Forgets every handshake, as a gateway that was restarted. */
  async restart(): Promise<void> {
    await this.#order({ op: 'restart' });
  }

  async rotateKey(): Promise<void> {
    this.publicKey = (await this.#order({ op: 'rotateKey' })).publicKey ?? '';
  }

  async cutWebSockets(): Promise<void> {
    await this.#order({ op: 'cutWebSockets' });
  }

  /** Stops the whole process at once, until `thaw`: what is sent to it meanwhile waits in its socket. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }

  async #order(order: Readonly<Record<string, unknown>>): Promise<Result> {
    const id = this.#nextId++;
    const { promise, resolve } = Promise.withResolvers<Result>();
    this.#waiting.set(id, resolve);
    this.#child.stdin.write(`${JSON.stringify({ id, ...order })}\n`);
    const result = await promise;
    if (result.error !== undefined) throw new Error(`the gateway: ${result.error}`);
    return result;
  }
}
