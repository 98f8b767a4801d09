// The clients of the monkey, in a pod: a new psql every 200 ms whether the others were answered or not, and one COPY after the other. They
// check what they get; the longest time in which no new client was answered is the gap.
// Neighbours: monkey.ts asks for gaps, open-tunnel.ts has the pod.
import { createHash } from 'node:crypto';
import { cachedProgram } from '../../lab/base/places.ts';
import { Child } from '../../lab/process/child.ts';
import type { OpenTunnel } from './open-tunnel.ts';

const copied = Array.from({ length: 60_000 }, (_, row) => `${row + 1}\tan order of the monkey\n`).join('');
const digest = createHash('md5').update(copied).digest('hex');
const copy = `copy (select g, 'an order of the monkey' from generate_series(1, 60000) g) to stdout`;

/** Each line is one event: `row` and `copy` with what was read, or `no` with psql's words, and when, in milliseconds of the machine's clock. */
const script = (host: string): string => `
target='host=${host} user=orders dbname=orders password=correct-horse'
now() { date +%s%3N; }
while :; do
  if psql -XAqt -c "${copy}" "$target" > /tmp/copy 2> /tmp/error
  then echo "copy $(now) $(md5sum < /tmp/copy)"
  else echo "no $(now) COPY: $(tr '\\n' ' ' < /tmp/error)"
  fi
  sleep 1
done &
while :; do
  { if row=$(timeout 70 psql -XAqt -c "select 'row ' || 6 * 7" "$target" 2>&1)
    then echo "$row" | sed "s/^row/row $(now)/"
    else row=$(echo "$row" | tr '\\n' ' '); echo "no $(now) $row"
    fi; } &
  sleep 0.2
done`;

export interface Answers {
  readonly rows: number;
  readonly copies: number;
  readonly refused: number;
  /** Rows and copies that were read to their end and are not what the database has. */
  readonly wrong: readonly string[];
}

export class MonkeyLoad implements AsyncDisposable {
  readonly #child: Child;

  /** The clients begin at once. */
  constructor({ cluster, shop, name }: OpenTunnel) {
    const exec = [
      '--kubeconfig',
      cluster.kubeconfig,
      '-n',
      shop.namespace,
      'exec',
      'client',
      '--',
      'sh',
      '-c',
      script(name),
    ];
    this.#child = new Child('the clients of the monkey', cachedProgram('kubectl'), exec, { keptLines: 200_000 });
  }

  /** Resolves once that many new clients in a row were answered, none of them before now. @throws Error after a minute and a half. */
  async carried(count = 5): Promise<void> {
    const from = Date.now();
    const answered = (): boolean => {
      const since = this.#events().filter(({ kind, at }) => kind !== 'copy' && at >= from);
      return since.length >= count && since.slice(-count).every(({ kind }) => kind === 'row');
    };
    await this.#child.until(answered, 90_000);
  }

  /** The longest time without an answered new client between those moments, in milliseconds. */
  longestGap(from: number, to: number): number {
    const times = this.#events()
      .filter(({ kind, at }) => kind === 'row' && at >= from && at <= to)
      .map(({ at }) => at)
      .toSorted((a, b) => a - b);
    return Math.max(...[...times, to].map((at, index) => at - (times[index - 1] ?? from)));
  }

  get answers(): Answers {
    const events = this.#events();
    const isRight = ({ kind, text }: Event): boolean => text.startsWith(kind === 'row' ? '42' : digest);
    const read = events.filter(({ kind }) => kind !== 'no');
    return {
      rows: read.filter((event) => event.kind === 'row' && isRight(event)).length,
      copies: read.filter((event) => event.kind === 'copy' && isRight(event)).length,
      refused: events.length - read.length,
      wrong: read.filter((event) => !isRight(event)).map(({ kind, text }) => `${kind} ${text}`),
    };
  }

  /** What refused clients were told, each sentence once. */
  get refusals(): readonly string[] {
    return [...new Set(this.#events().flatMap(({ kind, text }) => (kind === 'no' ? text : [])))];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
  }

  #events(): readonly Event[] {
    return this.#child.log().flatMap((line) => {
      const [, kind, at, text = ''] = /^(row|copy|no) (\d{13}) ?(.*)$/.exec(line) ?? [];
      return kind === undefined ? [] : { kind: kind as Event['kind'], at: Number(at), text };
    });
  }
}

interface Event {
  readonly kind: 'row' | 'copy' | 'no';
  readonly at: number;
  readonly text: string;
}
