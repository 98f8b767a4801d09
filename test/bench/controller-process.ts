// The controller as the image runs it, and what it says of itself.
// Neighbours: controller.ts measures it, controller-world.ts is what it works on.
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../../lab/process/child.ts';
import { freePort } from '../../lab/process/ports.ts';
import { nodeFlags } from '../support/entrypoint.ts';

/** What one page of metrics says that the benchmark needs. */
export interface Page {
  /** PortForwards that are Ready. */
  readonly ready: number;
  /** Keys that wait, and workers that work. */
  readonly busy: number;
  readonly passes: number;
  /** Requests but the Lease's; watches are counted when they begin. */
  readonly reads: number;
  readonly writes: number;
  readonly events: number;
  readonly leads: boolean;
  readonly rolloutsWaiting: number;
}

export class ControllerProcess {
  readonly startedAt = performance.now();
  readonly #child: Child;
  readonly #port: number;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start(program: string, kubeconfig: string, name: string, image: string): Promise<ControllerProcess> {
    const port = await freePort();
    const child = new Child(`controller ${name}`, process.execPath, [
      ...nodeFlags,
      program,
      'controller',
      `--kubeconfig=${kubeconfig}`,
      `--tunnel-image=registry.example/portforward:${image}`,
      '--operator-namespace=operator',
      `--pod-name=${name}`,
      `--admin-port=${port}`,
    ]);
    const controller = new ControllerProcess(child, port);
    await child.until(
      () =>
        controller.page().then(
          () => true,
          () => false,
        ),
      30_000,
    );
    return controller;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Open sockets. */
  get connections(): number {
    const folder = `/proc/${this.pid}/fd`;
    return readdirSync(folder).filter((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`).startsWith('socket:');
      } catch {
        return false;
      }
    }).length;
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  async end(): Promise<void> {
    await this.#child.stop();
  }

  async page(): Promise<Page> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}/metrics`, { signal: AbortSignal.timeout(20_000) });
    const text = await answer.text();
    const sum = (name: string, ...labels: readonly string[]): number =>
      text
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => labels.every((label) => line.includes(label)))
        .reduce((all, line) => all + Number(line.slice(line.lastIndexOf(' '))), 0);
    const requests = (method: string): number => sum('rest_client_requests_total', `method="${method}"`);
    return {
      ready: sum('portforward_resources', 'ready="True"'),
      busy: sum('workqueue_depth') + sum('controller_runtime_active_workers'),
      passes: sum('controller_runtime_reconcile_total'),
      reads: requests('GET'),
      // The Lease is the only object that is put, an Event the only one that is posted.
      writes: requests('PATCH') + requests('DELETE'),
      events: requests('POST'),
      leads: sum('leader_election_master_status') === 1,
      rolloutsWaiting: sum('portforward_rollouts_waiting'),
    };
  }

  /** Asks until the page fits; gives it. @throws Error with the last page after `withinMs` */
  async until(what: string, fits: (page: Page) => boolean, withinMs: number): Promise<Page> {
    const end = performance.now() + withinMs;
    for (;;) {
      const page = await this.page();
      if (fits(page)) return page;
      if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}: ${JSON.stringify(page)}`);
      await delay(200);
    }
  }
}
