// One life of a cluster, step by step, and the figures of each step.
// Neighbours: controller.ts calls it, controller-world.ts is what the controller works on, controller-process.ts what is measured.
import { setTimeout as delay } from 'node:timers/promises';
import { type ControllerCase, cases } from './controller-cases.ts';
import { ControllerProcess, type Page } from './controller-process.ts';
import type { ControllerWorld } from './controller-world.ts';
import { namesOf } from './figures.ts';
import { cpuSeconds, memory } from './process-cost.ts';
import type { Run } from './run.ts';

/** What each step needs, the step before has left. */
export class Round {
  readonly #run: Run<ControllerCase>;
  readonly #world: ControllerWorld;
  readonly #count: number;
  /** Longer than any step takes by its rates: 7 writes of each PortForward, 50 a second. */
  readonly #limitMs: number;
  readonly #steadyMs: number;
  #image = '1';
  #names = 0;
  #port = 10_000;

  constructor(run: Run<ControllerCase>, world: ControllerWorld, count: number) {
    this.#run = run;
    this.#world = world;
    this.#count = count;
    this.#steadyMs = run.option('steady') * 1_000;
    this.#limitMs = 300_000 + count * 600;
  }

  async measure(): Promise<void> {
    const controller = await this.#start();
    try {
      await this.#create(controller);
      if (this.#wants(/^(steady|rss)-/)) await this.#steady(controller);
      if (this.#wants(/change-/)) await this.#changes(controller);
    } finally {
      await controller.end();
    }
    if (this.#wants(/^restart-/)) await this.#restart();
    if (this.#wants(/^upgrade-/)) await this.#upgrade();
    if (this.#wants(/^(fail|hand)over-/)) await this.#failover();
  }

  #wants(step: RegExp): boolean {
    return namesOf(cases).some((name) => step.test(name) && this.#run.wants(name));
  }

  #add(figures: Partial<Record<ControllerCase, number>>): void {
    this.#run.results.add('ours', figures);
    for (const [name, figure] of Object.entries(figures)) this.#run.say(`${name}: ${figure.toFixed(2)}`);
  }

  async #start(): Promise<ControllerProcess> {
    this.#names += 1;
    const { kubeconfig } = this.#world.server;
    return await ControllerProcess.start(this.#run.program, kubeconfig, `controller-${this.#names}`, this.#image);
  }

  /** Nothing is left to do, and nothing was written for five seconds. */
  async #quiet(controller: ControllerProcess): Promise<Page> {
    let page = await controller.page();
    let since = performance.now();
    return await controller.until(
      'it is quiet',
      (now) => {
        if (now.busy > 0 || now.writes !== page.writes) since = performance.now();
        page = now;
        return performance.now() - since > 5_000;
      },
      this.#limitMs,
    );
  }

  async #create(controller: ControllerProcess): Promise<void> {
    this.#run.say(`creating ${this.#count} PortForwards`);
    await controller.until('it leads', ({ leads }) => leads, 60_000);
    const started = performance.now();
    await this.#world.create(this.#count);
    await controller.until('all are Ready', ({ ready }) => ready === this.#count, this.#limitMs);
    const readySeconds = (performance.now() - started) / 1_000;
    const { writes, events } = await this.#quiet(controller);
    for (const [what, times] of await this.#world.applies()) this.#run.say(`applies of ${what}: ${times}`);
    this.#add({
      'ready-seconds': readySeconds,
      'writes-per-portforward': writes / this.#count,
      'events-per-portforward': events / this.#count,
    });
  }

  async #steady(controller: ControllerProcess): Promise<void> {
    this.#run.say('steady state');
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
    });
  }

  async #changes(controller: ControllerProcess): Promise<void> {
    this.#run.say('changes, one at a time');
    const idle: number[] = [];
    for (let index = 0; index < this.#run.option('changes'); index++) {
      idle.push(await this.#world.change(index % this.#count, this.#port++));
      await delay(100);
    }
    await this.#quiet(controller);
    this.#run.say('changes in a storm of edits');
    const storm: number[] = [];
    const raging = this.#world.storm(this.#count);
    // It may fail before it is waited for.
    raging.catch(() => undefined);
    for (let index = 0; index < this.#run.option('changes') / 5; index++) {
      storm.push(await this.#world.change(Math.floor(Math.random() * this.#count), this.#port++));
    }
    await raging;
    await this.#quiet(controller);
    this.#add({
      'change-p50-ms': percentile(idle, 50),
      'change-p99-ms': percentile(idle, 99),
      'storm-change-p50-ms': percentile(storm, 50),
      'storm-change-p99-ms': percentile(storm, 99),
    });
  }

  /** Nothing changed meanwhile: it must find that out, and write nothing. */
  async #restart(): Promise<void> {
    this.#run.say('restart with nothing changed');
    const controller = await this.#start();
    try {
      const done = ({ leads, busy, passes }: Page): boolean => leads && busy === 0 && passes >= this.#count;
      await controller.until('the queue is drained', done, this.#limitMs);
      const drainSeconds = (performance.now() - controller.startedAt) / 1_000;
      // Until each pod has been read, too.
      await delay(Math.max(15_000, (2 * this.#count) / 300 + 1_000));
      const { writes, events } = await this.#quiet(controller);
      this.#add({
        'restart-writes': writes + events,
        'restart-drain-seconds': drainSeconds,
        'restart-rss-mib': memory(controller.pid).rss,
      });
    } finally {
      await controller.end();
    }
  }

  /** Another image for every tunnel: how many the limiter lets through. */
  async #upgrade(): Promise<void> {
    this.#run.say('upgrade of the operator');
    this.#image = '2';
    const controller = await this.#start();
    try {
      await controller.until('rollouts wait', ({ rolloutsWaiting }) => rolloutsWaiting > 0, this.#limitMs);
      const before = this.#world.rollouts;
      await delay(this.#steadyMs);
      this.#add({ 'upgrade-rollouts': ((this.#world.rollouts - before) / this.#steadyMs) * 60_000 });
    } finally {
      await controller.end();
    }
    this.#image = '1';
  }

  /** How long an edit waits for the other controller when the leader is killed, and when it is asked to stop. */
  async #failover(): Promise<void> {
    this.#run.say('failover');
    const leader = await this.#start();
    await leader.until('it leads', ({ leads }) => leads, 60_000);
    await this.#quiet(leader);
    const second = await this.#start();
    leader.signal('SIGKILL');
    const killed = await this.#world.change(0, this.#port++);
    await leader.end();
    await this.#quiet(second);
    const third = await this.#start();
    second.signal('SIGTERM');
    const stopped = await this.#world.change(1 % this.#count, this.#port++);
    await second.end();
    await third.end();
    this.#add({ 'failover-seconds': killed / 1_000, 'handover-seconds': stopped / 1_000 });
  }
}

function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))] ?? Number.NaN;
}
