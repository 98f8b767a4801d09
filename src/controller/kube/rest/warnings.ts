// `Warning` headers of the API server (deprecated versions, unknown fields): counted always, logged once per text.
import type { Logger } from '../../../process/log.ts';
import type { KubeMetrics } from '../base/metrics.ts';

/** Texts remembered; a server that invents texts must not fill memory. */
const maxRemembered = 1_000;

export class Warnings {
  readonly #log: Logger;
  readonly #metrics: KubeMetrics;
  readonly #host: string;
  readonly #seen = new Set<string>();

  constructor(log: Logger, metrics: KubeMetrics, host: string) {
    this.#log = log;
    this.#metrics = metrics;
    this.#host = host;
  }

  /** Takes the header's value, if there is one. */
  note(header: string | string[] | undefined): void {
    if (header === undefined) return;
    for (const warning of parseWarnings(Array.isArray(header) ? header.join(', ') : header)) {
      this.#metrics.warningsTotal.inc({ host: this.#host });
      if (this.#seen.has(warning) || this.#seen.size >= maxRemembered) continue;
      this.#seen.add(warning);
      this.#log.warn({ warning }, 'the API server warns');
    }
  }
}

/** The texts of a Warning header, `299 - "text", 299 - "text"` (RFC 7234 section 5.5; Kubernetes sends code 299 only). */
export function parseWarnings(header: string): string[] {
  return [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text.replace(/\\(.)/g, '$1'));
}
