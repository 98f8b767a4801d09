// One life of a cluster, step by step, and the figures of each step.
// Neighbours: controller.ts calls it, controller-world.ts is what the controller works on, controller-process.ts what is measured.
import { setTimeout as delay } from 'node:timers/promises';
import { type ControllerCase, cases } from './controller-cases.ts';
import { ControllerProcess, type Page } from './controller-process.ts';
import type { ControllerWorld } from './controller-world.ts';
import { namesOf } from './figures.ts';
import { cpuByProgram, cpuSeconds, memory, peakMemory } from './process-cost.ts';
import type { Run } from './run.ts';

/** How often a step that lasts says how far it is. */
const progressMs = 20_000;

/** What each step needs, the step before has left. */
export class Round {
  readonly #run: Run<ControllerCase>;
  readonly #world: ControllerWorld;
  readonly #count: number;
  /** Longer than any step takes by its rates: 7 writes of each PortForward, 50 a second. */
  readonly #limitMs: number;
  readonly #steadyMs: number;
  #image = '1';
  #port = 10_000;
  #leader: ControllerProcess;

  private constructor(run: Run<ControllerCase>, world: ControllerWorld, count: number, leader: ControllerProcess) {
    this.#run = run;
    this.#world = world;
    this.#count = count;
    this.#leader = leader;
    this.#steadyMs = run.option('steady') * 1_000;
    this.#limitMs = 300_000 + count * 600;
  }

  /** Starts the first controller. */
  static async start(run: Run<ControllerCase>, world: ControllerWorld, count: number): Promise<Round> {
    return new Round(run, world, count, await ControllerProcess.start(run.program, world.server.kubeconfig, '1'));
  }

  /** One process leads after the other, because each start of one costs as much as a case. */
  async measure(): Promise<void> {
    try {
      await this.#create(this.#leader);
      await this.#step(/^(steady|rss)-/, () => this.#steady(this.#leader));
      await this.#step(/^change-/, () => this.#changes(this.#leader));
      await this.#step(/^restart-/, () => this.#restart());
      await this.#step(/^(fail|hand)over-/, () => this.#failover());
      await this.#step(/^storm-/, () => this.#storm(this.#leader));
      await this.#step(/^upgrade-/, () => this.#upgrade());
    } finally {
      await this.#leader.end();
    }
  }

  /** Does the step if one of its figures is wanted. One that fails costs its own figures and the exit code, not those of the others. */
  async #step(figures: RegExp, work: () => Promise<void>): Promise<void> {
    if (!namesOf(cases).some((name) => figures.test(name) && this.#run.wants(name))) return;
    try {
      await work();
    } catch (error) {
      this.#begin(`failed: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
      await this.#leader.end();
      this.#leader = await this.#start();
    }
  }

  #add(figures: Partial<Record<ControllerCase, number>>): void {
    this.#run.results.add('ours', figures);
    for (const [name, figure] of Object.entries(figures)) this.#run.say(`${name}: ${figure.toFixed(2)}`);
  }

  /** What is done now, and who has had the processors so far. */
  #begin(what: string): void {
    const cpu = cpuByProgram(process.pid).map(([name, seconds]) => `${name} ${seconds.toFixed(0)}`);
    this.#run.say(`${what} (CPU seconds so far: ${cpu.slice(0, 8).join(', ')})`);
  }

  async #start(): Promise<ControllerProcess> {
    return await ControllerProcess.start(this.#run.program, this.#world.server.kubeconfig, this.#image);
  }

  /** Waits until the page fits, and says from time to time how far it is. */
  async #until(controller: ControllerProcess, what: string, fits: (page: Page) => boolean): Promise<Page> {
    let saidAt = performance.now();
    return await controller.until(
      what,
      (page) => {
        if (performance.now() - saidAt > progressMs) {
          saidAt = performance.now();
          this.#run.say(
            `until ${what}: ${page.ready} of ${this.#count} are Ready, ${page.writes} writes, ${page.podReads} pods read, ${page.busy} to do`,
          );
        }
        return fits(page);
      },
      this.#limitMs,
    );
  }

  /** Nothing is left to do, and nothing was written for five seconds. */
  async #quiet(controller: ControllerProcess): Promise<Page> {
    let page = await controller.page();
    let since = performance.now();
    return await this.#until(controller, 'it is quiet', (now) => {
      if (now.busy > 0 || now.writes !== page.writes) since = performance.now();
      page = now;
      return performance.now() - since > 5_000;
    });
  }

  async #create(controller: ControllerProcess): Promise<void> {
    this.#begin(`creating ${this.#count} PortForwards`);
    await this.#until(controller, 'it leads', ({ leads }) => leads);
    const started = performance.now();
    const creating = this.#world.create(this.#count);
    // It may fail before it is waited for.
    creating.catch(() => undefined);
    await this.#until(controller, 'all are Ready', ({ ready }) => ready === this.#count);
    const readySeconds = (performance.now() - started) / 1_000;
    await creating;
    const { writes, events } = await this.#quiet(controller);
    for (const [what, times] of await this.#world.applies()) this.#run.say(`applies of ${what}: ${times}`);
    this.#add({
      'ready-seconds': readySeconds,
      'writes-per-portforward': writes / this.#count,
      'events-per-portforward': events / this.#count,
    });
  }

  async #steady(controller: ControllerProcess): Promise<void> {
    this.#begin('steady state');
    const before = await controller.page();
    const cpuBefore = cpuSeconds(controller.pid);
    const started = performance.now();
    await delay(this.#steadyMs);
    const after = await controller.page();
    const minutes = (performance.now() - started) / 60_000;
    this.#add({
      'steady-requests':
        (after.reads + after.writes + after.events - before.reads - before.writes - before.events) / minutes,
      'steady-writes': (after.writes + after.events - before.writes - before.events) / minutes,
      'steady-connections': controller.connections,
      'steady-cpu': ((cpuSeconds(controller.pid) - cpuBefore) / (minutes * 60)) * 100,
      'rss-mib': memory(controller.pid).rss,
      'rss-peak-mib': peakMemory(controller.pid),
    });
  }

  /** Each after the rollout of the one before: the budget is that of an idle API server. */
  async #changes(controller: ControllerProcess): Promise<void> {
    this.#begin('changes, one at a time');
    const all: { readonly ms: number; readonly parts: string }[] = [];
    for (let index = 0; index < this.#run.option('changes'); index++) {
      const before = await controller.page();
      const { ms, editMs } = await this.#world.change(index % this.#count, this.#port++);
      const after = await controller.page();
      const parts = {
        'until the edit was answered': editMs,
        'in the queue': after.queuedMs - before.queuedMs,
        'waiting for the rate of writes': after.limitedMs - before.limitedMs,
        writing: after.writingMs - before.writingMs,
      };
      all.push({
        ms,
        parts: Object.entries(parts)
          .map(([part, took]) => `${took.toFixed(0)} ${part}`)
          .join(', '),
      });
      await this.#world.rolledOut(index % this.#count);
    }
    for (const { ms, parts } of all.toSorted((a, b) => b.ms - a.ms).slice(0, 3)) {
      this.#run.say(`among the slowest: ${ms.toFixed(0)} ms, of them ${parts}`);
    }
    const times = all.map(({ ms }) => ms);
    this.#add({ 'change-p50-ms': percentile(times, 50), 'change-p99-ms': percentile(times, 99) });
    await this.#quiet(controller);
  }

  /** Changes while many other documents are edited, too. */
  async #storm(controller: ControllerProcess): Promise<void> {
    const edits = Math.min(this.#count, this.#run.option('storm'));
    this.#begin(`changes in a storm of ${edits} edits`);
    const times: number[] = [];
    const raging = this.#world.storm(edits);
    // It may fail before it is waited for.
    raging.catch(() => undefined);
    for (let index = 0; index < this.#run.option('changes') / 5; index++) {
      const { ms } = await this.#world.change(Math.floor(Math.random() * this.#count), this.#port++);
      times.push(ms);
      this.#run.say(`a change in the storm: ${ms.toFixed(0)} ms`);
    }
    await raging;
    this.#add({ 'storm-change-p50-ms': percentile(times, 50), 'storm-change-p99-ms': percentile(times, 99) });
    await this.#quiet(controller);
  }

  /** Nothing changed meanwhile: it must find that out, and write nothing. */
  async #restart(): Promise<void> {
    this.#begin('restart with nothing changed');
    const controller = await this.#succeed();
    const done = ({ leads, busy, passes }: Page): boolean => leads && busy === 0 && passes >= this.#count;
    await this.#until(controller, 'the queue is drained', done);
    const drainSeconds = (performance.now() - controller.startedAt) / 1_000;
    await this.#until(controller, 'each pod has been read', ({ podReads }) => podReads >= 2 * this.#count);
    await delay(10_000);
    const { writes, events } = await this.#quiet(controller);
    this.#add({
      'restart-writes': writes + events,
      'restart-drain-seconds': drainSeconds,
      'restart-rss-mib': memory(controller.pid).rss,
      'restart-rss-peak-mib': peakMemory(controller.pid),
    });
  }

  /** How long an edit waits for the other controller when the leader is killed, and when it is asked to stop. */
  async #failover(): Promise<void> {
    const how = { 'failover-seconds': 'SIGKILL', 'handover-seconds': 'SIGTERM' } as const;
    for (const [index, [name, signal]] of Object.entries(how).entries()) {
      this.#begin(`${signal} to the leader`);
      const former = this.#leader;
      this.#leader = await this.#start();
      try {
        await this.#leader.synced(this.#limitMs);
        former.signal(signal);
        const { ms } = await this.#world.change(index % this.#count, this.#port++);
        this.#add({ [name]: ms / 1_000 });
      } finally {
        await former.end();
      }
      await this.#quiet(this.#leader);
    }
  }

  /** Another image for every tunnel: how many the limiter lets through. The last step, because it leaves them half done. */
  async #upgrade(): Promise<void> {
    this.#begin('upgrade of the operator');
    this.#image = '2';
    const controller = await this.#succeed();
    await this.#until(controller, 'rollouts wait', ({ rolloutsWaiting }) => rolloutsWaiting > 0);
    const before = this.#world.deployments.rollouts;
    await delay(this.#steadyMs);
    this.#add({ 'upgrade-rollouts': ((this.#world.deployments.rollouts - before) / this.#steadyMs) * 60_000 });
  }

  /** Ends the leader and starts the next one. */
  async #succeed(): Promise<ControllerProcess> {
    await this.#leader.end();
    this.#leader = await this.#start();
    return this.#leader;
  }
}

function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))] ?? Number.NaN;
}
