// What an administrator decides for a whole install: the only file of the controller that reads flags and environment. The type `Settings`,
// the parser and `portforward controller --help` all come from the rows of flags.ts.
// Neighbours: flags.ts (the rows), main.ts (uses them).
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { type Flag, flags } from './flags.ts';

type Flags = typeof flags;
type FlagName = keyof Flags;

type Immutable<T> = T extends readonly (infer Item)[] ? readonly Item[] : Readonly<T>;
type ValueOf<Name extends FlagName> = Immutable<z.output<Flags[Name]['schema']>>;

/** The fields of `Settings` that stand in the group, such as `tunnel`. */
type Group<Prefix extends string> = {
  readonly [Name in FlagName as Flags[Name]['to'] extends `${Prefix}.${infer Field}` ? Field : never]: ValueOf<Name>;
};

type Ungrouped = {
  readonly [Name in FlagName as Flags[Name]['to'] extends `${string}.${string}`
    ? never
    : Flags[Name]['to']]: ValueOf<Name>;
};

/** What the pure part of the controller must know of the install. An empty text means: none. */
export type TunnelSettings = Group<'tunnel'>;

export type Settings = Ungrouped & { readonly tunnel: TunnelSettings; readonly kubeconfig: Group<'kubeconfig'> };

/** The settings of this process. @throws Error with one line per flag that is wrong. */
export function readSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      entries().map(([name, flag]) => [
        name,
        flag.form === 'switch' ? { type: 'boolean' as const } : { type: 'string' as const, multiple: true },
      ]),
    ),
  });
  const schema = z.object(Object.fromEntries(entries().map(([name, flag]) => [name, flag.schema])));
  const parsed = schema.safeParse(
    Object.fromEntries(entries().map(([name, flag]) => [name, valueOf(name, flag, values[name], environment)])),
  );
  if (!parsed.success) {
    throw new Error(parsed.error.issues.map((issue) => `--${issue.path.join('.')} ${issue.message}`).join('\n'));
  }
  return settingsFrom(parsed.data);
}

/** Puts each value where its row says; the type `Settings` is computed from the same rows. */
function settingsFrom(values: Readonly<Record<string, unknown>>): Settings {
  const settings: Record<string, unknown> = {};
  const groups: Record<string, Record<string, unknown>> = {};
  for (const [name, { to }] of entries()) {
    const [first = '', field] = to.split('.');
    if (field === undefined) settings[first] = values[name];
    else (groups[first] ??= {})[field] = values[name];
  }
  return { ...settings, ...groups } as unknown as Settings;
}

/** The flags as text, for `--help` and the documentation. */
export function flagsHelp(): string {
  return entries()
    .map(([name, flag]) => {
      const source = flag.variable === undefined ? '' : ` Environment: ${flag.variable}.`;
      const initial = flag.default === undefined || flag.default === '' ? '' : ` Default: ${flag.default}.`;
      return `  --${name}\n      ${flag.help}${source}${initial}`;
    })
    .join('\n');
}

const entries = (): [FlagName, Flag][] => Object.entries(flags) as [FlagName, Flag][];

function valueOf(
  name: string,
  flag: Flag,
  given: string | boolean | (string | boolean)[] | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): unknown {
  if (flag.form === 'switch') return given === true;
  const texts = Array.isArray(given) ? given.map(String) : undefined;
  const fallback = (flag.variable === undefined ? undefined : environment[flag.variable]) ?? flag.default;
  if (flag.form === 'list') {
    return (texts ?? [fallback ?? ''])
      .flatMap((text) => text.split(','))
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }
  const text = texts?.at(-1) ?? fallback;
  if (flag.form === 'number') return text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  if (flag.form === 'json') return parseJson(name, text ?? '');
  return text;
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`--${name} is not JSON`);
  }
}
