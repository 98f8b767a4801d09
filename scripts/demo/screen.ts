// What the demo shows: chapters with their times, details, and what programs printed.
// Neighbours: cluster-look.ts and laptop-look.ts tell their story with it.
import { duration, type Log } from '../../lab/base/progress.ts';

export class Screen {
  readonly log: Log;
  readonly #began = performance.now();

  constructor(log: Log) {
    this.log = log;
  }

  say(line: string): void {
    this.log(line);
  }

  detail(line: string): void {
    this.log(`    ${line.trimStart()}`);
  }

  quote(what: string, output: string): void {
    this.log(`    $ ${what}`);
    for (const line of output.trimEnd().split('\n')) this.log(`    ${line}`);
  }

  async chapter<Result>(title: string, work: () => Promise<Result>): Promise<Result> {
    const started = performance.now();
    this.say(`\n▸ ${title}`);
    const result = await work();
    this.say(`  done in ${duration(performance.now() - started)} (${this.sinceStart()} since the start)`);
    return result;
  }

  sinceStart(): string {
    return duration(performance.now() - this.#began);
  }
}
