// The same question for every fault: while it lasts, clients keep connections, download and open new ones. When did the tunnel notice, how
// long did new connections wait, which open ones were lost, and did any byte or ending lie?
// Neighbours: every-fault.test.ts makes the faults, fault-list.ts says what is promised, ../soak/load.ts are the clients.
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../../lab/base/eventually.ts';
import type { Sidecar } from '../../src/sidecar/sidecar.ts';
import { portOf } from '../integration/sidecar/sidecar-world.ts';
import { Load } from '../soak/load.ts';
import { watchLoop } from '../support/watch-loop.ts';
import { type Fault, type FaultName, faults } from './fault-list.ts';

/** The file to which a run appends its figures, one JSON object a line; unset: they are only printed. */
const figuresVariable = 'PF_FAULT_FIGURES';

export interface FaultFigures {
  readonly fault: FaultName;
  /** From the fault to the first session that was suspect or lost; null: none was. */
  readonly noticedMs: number | null;
  readonly longestWaitMs: number;
  readonly lost: number;
  readonly open: number;
  readonly wrong: number;
  readonly truncated: number;
}

const steady = 8;
const pollMs = 50;
/** After that time a fault that lasts has begun, and one that is over at once has been noticed. */
const faultBeginsMs = 500;

/** Makes the fault under load, and judges what became of the clients. */
export async function measure(
  t: TestContext,
  name: FaultName,
  sidecar: Sidecar,
  make: () => Promise<unknown>,
): Promise<void> {
  const fault: Fault = faults[name];
  const load = new Load(portOf(sidecar), { steady, downloaders: 1, downloadBytes: 512 * 1024 });
  const begun = Promise.withResolvers<void>();
  let notice: Notice | undefined;
  try {
    await eventually('every client is carried', () => load.counts.echoes >= 3 * steady && load.counts.downloads >= 1);
    if (fault.betweenDownloads !== undefined) await load.holdDownloads(begun.promise);
    notice = await Notice.begin(sidecar);
    // A connection that was answered just before the fault is an open one: its wait would be a matter of luck.
    const release = await load.holdNew();
    load.startWaits();
    const before = { ...load.counts };
    using loop = watchLoop();
    const made = make();
    release();
    const begins = delay(faultBeginsMs);
    await (fault.betweenDownloads === 'lasts' ? made : Promise.race([made.then(() => begins), begins]));
    begun.resolve();
    await made;
    await eventually('new connections are carried', () => load.carries, 60_000);
    const { echoes, connections, downloads } = load.counts;
    const isCarried = (): boolean =>
      load.counts.echoes >= echoes + 3 * steady &&
      load.counts.connections >= connections + 5 &&
      load.counts.downloads > downloads;
    await eventually('every client is carried again', isCarried, 60_000);
    const noticedMs = await notice.stop();
    const { counts, longestWaitMs } = load;
    const figures: FaultFigures = {
      fault: name,
      noticedMs,
      longestWaitMs,
      lost: counts.steadyLost - before.steadyLost,
      open: steady,
      wrong: counts.wrong,
      truncated: counts.truncated,
    };
    record(t, figures);
    assert.equal(figures.wrong, 0);
    assert.equal(figures.truncated, 0);
    if (fault.open === 'live on') assert.equal(figures.lost, 0);
    // A tunnel that overslept counted the silence anew, and by then the fault was over.
    else assert.ok(figures.lost > 0 || loop.overslept, 'they lived on: the page promises less than is so');
    assert.ok(longestWaitMs <= 3 * fault.newWithinMs, `a new connection waited ${longestWaitMs} ms`);
  } finally {
    begun.resolve();
    // After a failure it still watches.
    await notice?.stop();
    await load.abandon();
  }
}

function record(t: TestContext, figures: FaultFigures): void {
  t.diagnostic(JSON.stringify(figures));
  const file = process.env[figuresVariable];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(figures)}\n`);
}

/** When the tunnel first has a session that is suspect or lost, as its own metrics say. */
class Notice {
  readonly #port: number;
  readonly #lostBefore: number;
  readonly #from = performance.now();
  readonly #watching: Promise<void>;
  #noticedMs: number | null = null;
  #stopped = false;

  static async begin({ adminPort = 0 }: Sidecar): Promise<Notice> {
    return new Notice(adminPort, (await sessionsAt(adminPort)).lost);
  }

  private constructor(port: number, lostBefore: number) {
    this.#port = port;
    this.#lostBefore = lostBefore;
    this.#watching = this.#watch();
  }

  async stop(): Promise<number | null> {
    this.#stopped = true;
    await this.#watching;
    return this.#noticedMs;
  }

  async #watch(): Promise<void> {
    while (!this.#stopped && this.#noticedMs === null) {
      const { suspect, lost } = await sessionsAt(this.#port);
      if (suspect > 0 || lost > this.#lostBefore) this.#noticedMs = performance.now() - this.#from;
      await delay(pollMs);
    }
  }
}

/** Of the tunnel now, and lost so far, as its metrics say. */
export async function sessionsAt(adminPort: number): Promise<{ readonly suspect: number; readonly lost: number }> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return {
    suspect: sum(text, /^portforward_tunnel_sessions\{part="suspect"\} (\S+)/gm),
    lost: sum(text, /^portforward_tunnel_sessions_lost_total\S* (\S+)/gm),
  };
}

function sum(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
}
