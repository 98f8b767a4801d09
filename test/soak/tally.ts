// What happened in a run by command, and how often; a fault is printed at once. Neighbour: hand-overs.ts.

export class Tally {
  readonly #counts = new Map<string, number>();
  faults = 0;

  add(what: string, isFault = false): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
    if (!isFault) return;
    this.faults += 1;
    console.log(`FAULT: ${what}`);
  }

  print(): void {
    const sorted = [...this.#counts].toSorted(([one], [other]) => one.localeCompare(other));
    for (const [what, times] of sorted) console.log(`${String(times).padStart(8)}  ${what}`);
    console.log(`${this.faults} faults`);
  }
}
