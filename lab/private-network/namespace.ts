// One host of the private network: a Linux network namespace, its links, and the faults that can be made in it.
// Neighbour: network.ts joins several.
import { command, succeeds } from '../process/command.ts';

/** A network namespace that this process made and removes. */
export class Namespace {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** Makes it anew: one of that name that a killed run left behind is removed first. */
  static async create(name: string): Promise<Namespace> {
    await succeeds('ip', ['netns', 'delete', name]);
    await command('ip', ['netns', 'add', name]);
    const namespace = new Namespace(name);
    await namespace.ip('link', 'set', 'lo', 'up');
    return namespace;
  }

  /** `ip …` inside it. */
  ip(...args: readonly string[]): Promise<string> {
    return command('ip', ['-n', this.name, ...args]);
  }

  /** A program inside it, to its end. */
  run(...args: readonly string[]): Promise<string> {
    return command('ip', ['netns', 'exec', this.name, ...args]);
  }

  /** Replaces the rules of the fault table; an empty list heals. */
  async faults(
    rules: readonly { readonly hook: 'input' | 'output' | 'forward'; readonly rule: string }[],
  ): Promise<void> {
    const chains = (['input', 'output', 'forward'] as const).map((hook) => {
      const lines = rules.filter((entry) => entry.hook === hook).map((entry) => `    ${entry.rule}`);
      return `  chain ${hook} {\n    type filter hook ${hook} priority 0; policy accept;\n${lines.join('\n')}\n  }`;
    });
    const table = `table inet fault\ndelete table inet fault\ntable inet fault {\n${chains.join('\n')}\n}\n`;
    await command('ip', ['netns', 'exec', this.name, 'nft', '-f', '-'], { input: table });
  }

  async delete(): Promise<void> {
    await succeeds('ip', ['netns', 'delete', this.name]);
  }
}
