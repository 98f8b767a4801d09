// The controller as the image runs it, and what it says of itself.
// Neighbours: controller.ts measures it, controller-world.ts is what it works on.
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Child } from '../../lab/process/child.ts';
import { freePort } from '../../lab/process/ports.ts';
import { imageEnvironment, nodeFlags } from '../support/entrypoint.ts';

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
  /** Answers of pods that were read. */
  readonly podReads: number;
  /** Sums since its start, in milliseconds: keys in the queue, writes that waited for their turn, writes that waited for the API server. */
  readonly queuedMs: number;
  readonly limitedMs: number;
  readonly writingMs: number;
}

export class ControllerProcess {
  readonly startedAt = performance.now();
  readonly #child: Child;
  readonly #port: number;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start(program: string, kubeconfig: string, image: string): Promise<ControllerProcess> {
    const port = await freePort();
    const name = `controller-${port}`;
    const child = new Child(
      name,
      process.execPath,
      [
        ...nodeFlags,
        program,
        'controller',
        `--kubeconfig=${kubeconfig}`,
        `--tunnel-image=registry.example/portforward:${image}`,
        '--operator-namespace=operator',
        `--pod-name=${name}`,
        `--admin-port=${port}`,
      ],
      { env: imageEnvironment },
    );
    const controller = new ControllerProcess(child, port);
    await child.until(
      () =>
        controller.page().then(
          () => true,
          () => false,
        ),
      // With 10,000 the caches are being filled meanwhile.
      120_000,
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

  /** Resolves when its caches are filled, whether it leads or not. */
  async synced(withinMs: number): Promise<void> {
    const ready = (): Promise<boolean> =>
      fetch(`http://127.0.0.1:${this.#port}/readyz`, { signal: AbortSignal.timeout(20_000) }).then(
        ({ ok }) => ok,
        () => false,
      );
    await this.#child.until(ready, withinMs);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Asks it to stop, and gives it the time to hand the Lease over. */
  async end(): Promise<void> {
    await this.#child.stop(30_000);
  }

  async page(): Promise<Page> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}/metrics`, { signal: AbortSignal.timeout(20_000) });
    const text = await answer.text();
    const lines = text.split('\n');
    const sum = (name: string, ...labels: readonly string[]): number =>
      lines
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
      podReads: sum('portforward_statusz_reads_total', 'result="success"'),
      queuedMs: 1_000 * sum('workqueue_queue_duration_seconds_sum'),
      limitedMs: 1_000 * sum('rest_client_rate_limiter_duration_seconds_sum'),
      writingMs: 1_000 * sum('rest_client_request_duration_seconds_sum', 'verb="PATCH"'),
    };
  }

  /**
   * Asks until the page fits; gives it. A page that does not come in time is asked for again.
   * @throws Error with the last page after `withinMs`, or if the process has ended
   */
  async until(what: string, fits: (page: Page) => boolean, withinMs: number): Promise<Page> {
    const end = performance.now() + withinMs;
    for (;;) {
      const asked = performance.now();
      const page = await this.page().catch((error: unknown) => error);
      if (!(page instanceof Error) && fits(page as Page)) return page as Page;
      const { end: ended } = this.#child;
      if (ended !== undefined)
        throw new Error(`the controller ended (${ended}): ${this.#child.log().slice(-10).join('\n')}`);
      if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}: ${JSON.stringify(page)}`);
      // A page of 10,000 PortForwards takes the controller's time: at most a tenth of it.
      await delay(Math.max(200, 10 * (performance.now() - asked)));
    }
  }
}
