// What each version of the SSM agent can do. No I/O. Neighbour: handshake-protocol.ts learns the version.

/** Negative, 0 or positive if `a` is older than, equal to or newer than `b`; undefined unless both are four numbers with dots. */
export function compareVersions(a: string, b: string): number | undefined {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  if (left === undefined || right === undefined) return undefined;
  for (const [index, number] of left.entries()) {
    const difference = number - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): number[] | undefined {
  return /^\d{1,9}(\.\d{1,9}){3}$/.test(version) ? version.split('.').map(Number) : undefined;
}

export interface AgentAbilities {
  /** Many streams in one data channel; otherwise only one. */
  readonly multiplexes: boolean;
  /** Connects to other hosts than its own; an older one would silently connect to the same port of its own host. */
  readonly reachesOtherHosts: boolean;
  /** Ends the session unless it hears a frame every 30 s, whatever version the client reports. */
  readonly needsKeepAlive: boolean;
  /** Acknowledges a message again that it gets again; an older one does so only once, and a lost acknowledgement never comes. */
  readonly acknowledgesAgain: boolean;
}

/** What an agent of that version can do; undefined if the text is no version. */
export function abilitiesOf(version: string): AgentAbilities | undefined {
  if (compareVersions(version, '0.0.0.0') === undefined) return undefined;
  const newerThan = (other: string): boolean => (compareVersions(version, other) ?? 0) > 0;
  const atLeast = (other: string): boolean => (compareVersions(version, other) ?? -1) >= 0;
  return {
    multiplexes: newerThan('3.0.196.0'),
    reachesOtherHosts: atLeast('3.1.1374.0'),
    needsKeepAlive: !newerThan('3.1.1511.0'),
    acknowledgesAgain: atLeast('3.2.1041.0'),
  };
}
