// One line `Match …` of ssh_config: whether its block counts. What only a program or the network could say is unknown.
// Neighbour: ssh-config.ts.
import { UsageError } from '../usage-error.ts';
import { matchesList } from './ssh-words.ts';

/** What the criteria are compared with. */
export interface Criteria {
  readonly originalHost: string;
  /** The host after HostName. */
  readonly host: string;
  readonly user: string;
  readonly localUser: string;
  readonly tag: string;
  /** The second reading, which `final` and `canonical` are for. */
  readonly isFinal: boolean;
}

interface Match {
  readonly verdict: boolean | 'unknown';
  /** A criterion wants the configuration to be read a second time. */
  readonly asksFinal: boolean;
}

/** Answered by a program, the network, or a newer ssh alone. */
const unknowable = new Set(['exec', 'localnetwork', 'version', 'sessiontype', 'command']);

/** @throws UsageError for a criterion that ssh does not have */
export function matchVerdict(words: readonly string[], criteria: Criteria, origin: string): Match {
  let verdict: Match['verdict'] = true;
  let asksFinal = false;
  const and = (result: Match['verdict']): void => {
    if (verdict === false || result === false) verdict = false;
    else if (result === 'unknown') verdict = 'unknown';
  };
  const rest = words.flatMap((word) => {
    const [, name, value] = /^([A-Za-z!]+)=(.*)$/s.exec(word) ?? [];
    return name === undefined || value === undefined ? [word] : [name, value];
  });
  while (rest.length > 0) {
    const word = rest.shift() ?? '';
    const negated = word.startsWith('!');
    const name = word.replace(/^!/, '').toLowerCase();
    const decide = (result: boolean | 'unknown'): void => and(result === 'unknown' ? result : result !== negated);
    if (name === 'all') decide(true);
    else if (name === 'final' || name === 'canonical') {
      if (name === 'final') asksFinal = true;
      decide(criteria.isFinal);
    } else {
      const value = rest.shift();
      if (value === undefined) throw new UsageError(`${origin}: Match ${name} has no value`);
      if (unknowable.has(name)) decide('unknown');
      else {
        const text = comparedWith(name, criteria, origin);
        // Case matters for Host and for users, but not for the hosts of Match.
        const [subject, list] = name.endsWith('host') ? [text.toLowerCase(), value.toLowerCase()] : [text, value];
        decide(matchesList(subject, list.split(',')));
      }
    }
  }
  return { verdict, asksFinal };
}

function comparedWith(name: string, criteria: Criteria, origin: string): string {
  const values: Readonly<Record<string, string>> = {
    host: criteria.host,
    originalhost: criteria.originalHost,
    user: criteria.user,
    localuser: criteria.localUser,
    tagged: criteria.tag,
  };
  const value = values[name];
  if (value === undefined) throw new UsageError(`${origin}: ssh has no Match ${name}`);
  return value;
}
