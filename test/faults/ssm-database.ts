// The database's machine behind the instance, for the ssm tests of this folder: one real PostgreSQL on several addresses in a network
// namespace of its own. Each address can fail alone, so tests can run side by side.
// Neighbours: ssm-tunnel.ts (the tunnel to it), lab/private-network (its parts).
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Namespace } from '../../lab/private-network/namespace.ts';
import { type Postgres, startPostgres } from '../../lab/private-network/postgres.ts';
import { command, succeeds } from '../../lab/process/command.ts';
import { tryLock } from '../../lab/process/lock.ts';

type Rule = Parameters<Namespace['faults']>[0][number];

const maxMachines = 16;
/** Behind the addresses of all private networks. */
const firstOctet = 208;

export class DatabaseMachine {
  readonly postgres: Postgres;
  readonly #namespace: Namespace;
  readonly #prefix: string;
  readonly #device: string;
  readonly #release: () => void;
  readonly #faults = new Map<string, readonly Rule[]>();
  #addresses = 10;
  #written: Promise<unknown> = Promise.resolve();

  /** Resolves when the database answers. Needs root. */
  static async start(): Promise<DatabaseMachine> {
    for (let index = 0; index < maxMachines; index += 1) {
      const release = tryLock(join(tmpdir(), `portforward-database-${index}.lock`));
      if (release === undefined) continue;
      const device = `pfdb${index}`;
      const namespace = await Namespace.create(device);
      const prefix = `198.18.${firstOctet + index}`;
      await succeeds('ip', ['link', 'delete', device]);
      await command('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'lan', 'netns', namespace.name]);
      await command('ip', ['address', 'add', `${prefix}.1/24`, 'dev', device]);
      await command('ip', ['link', 'set', device, 'up']);
      await namespace.ip('link', 'set', 'lan', 'up');
      const postgres = await startPostgres({ host: '0.0.0.0', port: 5432, namespace: namespace.name });
      return new DatabaseMachine({ postgres, namespace, prefix, device, release });
    }
    throw new Error(`all ${maxMachines} database machines are in use by other processes`);
  }

  private constructor(parts: {
    readonly postgres: Postgres;
    readonly namespace: Namespace;
    readonly prefix: string;
    readonly device: string;
    readonly release: () => void;
  }) {
    this.postgres = parts.postgres;
    this.#namespace = parts.namespace;
    this.#prefix = parts.prefix;
    this.#device = parts.device;
    this.#release = parts.release;
  }

  /** One more address on which the database answers. */
  async newAddress(): Promise<string> {
    const address = `${this.#prefix}.${this.#addresses}`;
    this.#addresses += 1;
    await this.#namespace.ip('address', 'add', `${address}/24`, 'dev', 'lan');
    return address;
  }

  /** Drops every packet from and to the address. */
  async silence(address: string): Promise<void> {
    await this.#set(address, [
      { hook: 'input', rule: `ip daddr ${address} drop` },
      { hook: 'output', rule: `ip saddr ${address} drop` },
    ]);
  }

  /** Answers every packet to the address with a reset, including those of open connections. */
  async refuse(address: string): Promise<void> {
    await this.#set(address, [
      { hook: 'input', rule: `ip daddr ${address} meta l4proto tcp reject with tcp reset` },
      { hook: 'output', rule: `ip saddr ${address} tcp flags & rst == 0 drop` },
    ]);
  }

  async heal(address: string): Promise<void> {
    await this.#set(address, []);
  }

  async stop(): Promise<void> {
    await this.postgres.stop();
    await this.#namespace.delete();
    await succeeds('ip', ['link', 'delete', this.#device]);
    this.#release();
  }

  async #set(address: string, rules: readonly Rule[]): Promise<void> {
    this.#faults.set(address, rules);
    // One after the other: tests run side by side, and rules that were read earlier must not be written later.
    const write = this.#written.then(() => this.#namespace.faults([...this.#faults.values()].flat()));
    this.#written = write.catch(() => undefined);
    await write;
  }
}
