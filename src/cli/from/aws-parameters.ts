// Values as the AWS command line reads them: JSON, its shorthand (`portNumber=["5432"],host=orders.db`), or file://; and the region of a profile.
// Neighbour: aws-command.ts.
import { join } from 'node:path';
import { UsageError } from '../usage-error.ts';
import type { Machine } from './machine.ts';
import { expandHome } from './ssh-config.ts';

/** Each parameter of a session document has one value in its list. @throws UsageError */
export function parseParameters(text: string, machine: Machine): ReadonlyMap<string, string> {
  const file = /^file:\/\/(.+)$/s.exec(text)?.[1];
  const content = file === undefined ? text : machine.read(expandHome(file, machine));
  if (content === undefined) throw new UsageError(`--parameters: cannot read ${file}`);
  const entries = content.trim().startsWith('{') ? fromJson(content) : fromShorthand(content.trim());
  return new Map(
    entries.map(([key, values]) => {
      const [value, ...more] = values;
      if (value === undefined || more.length > 0)
        throw new UsageError(`--parameters: ${key} has ${values.length} values, and a session takes one`);
      return [key, value];
    }),
  );
}

type Entry = readonly [string, readonly string[]];

function fromJson(text: string): readonly Entry[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`--parameters is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  return Object.entries(value as Readonly<Record<string, unknown>>).map(([key, given]) => [
    key,
    [given].flat().map(String),
  ]);
}

/** `key=value,key=[v1,v2],key="v"`: values without a key belong to the list before them. */
function fromShorthand(text: string): readonly Entry[] {
  const entries: [string, string[]][] = [];
  const token = /\s*(?:([A-Za-z][\w-]*)\s*=\s*)?(\[[^\]]*\]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^,"'[\]]*)\s*(?:,|$)/y;
  while (token.lastIndex < text.length) {
    const [, key, value = ''] = token.exec(text) ?? [undefined, undefined, undefined];
    if (token.lastIndex === 0)
      throw new UsageError(
        '--parameters is neither JSON nor shorthand: portNumber="5432",localPortNumber="15432",host="orders.db"',
      );
    const values = value.startsWith('[') ? value.slice(1, -1).split(',').map(unquoted) : [unquoted(value)];
    if (key !== undefined) entries.push([key, values]);
    else if (entries.length > 0) entries.at(-1)?.[1].push(...values);
    else throw new UsageError(`--parameters: ${value} has no name`);
  }
  return entries;
}

const unquoted = (text: string): string =>
  text
    .trim()
    .replace(/^(["'])(.*)\1$/s, '$2')
    .replaceAll(/\\(.)/g, '$1');

/** The region in ~/.aws/config, or in the file that AWS_CONFIG_FILE names. */
export function regionOfProfile(profile: string, machine: Machine): string | undefined {
  const file = machine.environment['AWS_CONFIG_FILE'] ?? join(machine.home, '.aws', 'config');
  const wanted = profile === 'default' ? ['default', 'profile default'] : [`profile ${profile}`];
  let section = '';
  for (const line of (machine.read(expandHome(file, machine)) ?? '').split('\n')) {
    section = /^\s*\[\s*(.+?)\s*\]/.exec(line)?.[1]?.replaceAll(/\s+/g, ' ') ?? section;
    const [, region] = /^region\s*=\s*(\S+)/.exec(line) ?? [];
    if (region !== undefined && wanted.includes(section)) return region;
  }
  return undefined;
}
