// Documents by the schema of the definition: its fields with right values, values at and beyond each bound, and texts that cost or deceive
// a reader. Every choice is the seed's.
// Neighbours: judges.ts (who judges them), test/corpus/ (right values of each field).
import fc from 'fast-check';
import type { Structural } from '../../../scripts/generate/structural.ts';
import { apiVersion, kind } from '../../../src/contract/api/names.ts';
import { corpus } from '../../corpus/corpus.ts';

/** Fields are chosen by name alone: a name means the same wherever it stands. */
type KnownValues = ReadonlyMap<string, readonly unknown[]>;

const drivers = ['ssh', 'ssm', 'fly'] as const;

/** What texts do to their readers: long computations, terminals, file names, and other alphabets. */
const hostileTexts = [
  '',
  ' ',
  '\n',
  '\t',
  '\u0000',
  '\u001b[2J',
  '\u202eevil',
  '\u2028',
  '\ufeff',
  '\u00e9',
  '\u{1f600}',
  '../../etc/passwd',
  '/',
  '$(id)',
  '{{.}}',
  '%s%n',
  "' or 1=1",
  '*',
  '0',
  '00',
  '-1',
  '1e99',
  '1e100',
  '1e999999999',
  '1E-999999999',
  '9'.repeat(200),
  `0.${'0'.repeat(200)}1`,
  '1Ei',
  '1n',
  'true',
  'null',
  '~',
  '::1',
  '[::1]:22',
  'a'.repeat(10_000),
  'é'.repeat(300),
];

const hostileNumbers = [-1, 0, 1, 1.5, 65_535, 65_536, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 1e21];

const wrongKinds: readonly unknown[] = [null, true, 0, 'x', [], {}, [null], { a: {} }];

/** Documents whose spec follows `schema`; about a third of them is right. */
export function documentsBySchema(schema: Structural): fc.Arbitrary<unknown> {
  const specSchema = schema.properties?.['spec'];
  if (specSchema === undefined) throw new TypeError('the schema has no spec');
  const spec = valueOf(specSchema, 'spec', knownValues());
  return fc.tuple(spec, fc.constantFrom(...drivers), rarely()).map(([made, driver, isOdd]) => ({
    apiVersion,
    kind,
    metadata: { name: 'fuzz' },
    spec: isOdd ? made : withDriver(made, driver),
  }));
}

/** Most documents have one driver, as the rules want. */
function withDriver(spec: unknown, driver: (typeof drivers)[number]): unknown {
  if (typeof spec !== 'object' || spec === null) return spec;
  const others = drivers.filter((name) => name !== driver);
  const known = goodSpecs().find((good) => driver in good);
  const kept = Object.fromEntries(Object.entries(spec).filter(([name]) => !others.includes(name as never)));
  return driver in kept ? kept : { ...kept, [driver]: structuredClone(known?.[driver]) };
}

/** True in one of fifteen. */
const rarely = (): fc.Arbitrary<boolean> => fc.nat(14).map((one) => one === 0);

function valueOf(schema: Structural, name: string, known: KnownValues): fc.Arbitrary<unknown> {
  const right = rightValue(schema, name, known);
  return fc.oneof(
    { weight: 1_000, arbitrary: right },
    { weight: 1, arbitrary: fc.constantFrom(...wrongKinds).map((value) => structuredClone(value)) },
  );
}

function rightValue(schema: Structural, name: string, known: KnownValues): fc.Arbitrary<unknown> {
  if (schema.enum !== undefined) return mostly(fc.constantFrom(...schema.enum), fc.constantFrom(...hostileTexts));
  switch (schema.type) {
    case 'object':
      return objectOf(schema, name, known);
    case 'array':
      return arrayOf(schema, name, known);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return integerOf(schema, known.get(name));
    default:
      return textOf(schema, known.get(name));
  }
}

const mostly = (right: fc.Arbitrary<unknown>, odd: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 150, arbitrary: right }, { weight: 1, arbitrary: odd });

function textOf(
  { maxLength = 64, minLength = 0 }: Structural,
  known: readonly unknown[] = ['a'],
): fc.Arbitrary<unknown> {
  const bounds = ['a'.repeat(minLength), 'a'.repeat(maxLength), 'a'.repeat(maxLength + 1)];
  return mostly(
    fc.constantFrom(...known),
    fc.oneof(
      fc.constantFrom(...bounds, ...hostileTexts),
      fc.string({ maxLength: 20 }),
      fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.toWellFormed()),
    ),
  );
}

function integerOf({ minimum = 0, maximum = 100 }: Structural, known: readonly unknown[] = []): fc.Arbitrary<unknown> {
  const right = fc.oneof(fc.constantFrom(minimum, maximum, ...known), fc.integer({ min: minimum, max: maximum }));
  return mostly(right, fc.constantFrom(minimum - 1, maximum + 1, ...hostileNumbers));
}

function arrayOf(schema: Structural, name: string, known: KnownValues): fc.Arbitrary<unknown> {
  const { items, minItems = 0, maxItems = 4 } = schema;
  if (items === undefined) return fc.constant([]);
  const item = valueOf(items, name, known);
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const few = fc.array(item, { minLength: minItems, maxLength: Math.max(minItems, Math.min(maxItems, 3)) });
  const distinct = few.map((all) => (keys.length === 0 ? all : distinctBy(all, keys)));
  const many = item.map((one) => Array.from({ length: maxItems + 1 }, () => one));
  return mostly(distinct, maxItems > 100 ? few : fc.oneof(few, many));
}

/** The first entry of each key. */
function distinctBy(entries: readonly unknown[], keys: readonly string[]): unknown[] {
  const keyOf = (entry: unknown): string =>
    JSON.stringify(keys.map((key) => (entry as Record<string, unknown>)?.[key]));
  return entries.filter((entry, index) => entries.findIndex((other) => keyOf(other) === keyOf(entry)) === index);
}

function objectOf(schema: Structural, name: string, known: KnownValues): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = schema;
  if (additionalProperties !== undefined) return mapOf(schema, additionalProperties, name, known);
  const members = Object.entries(properties).map(([member, inner]) => {
    const value = valueOf(inner, member, known);
    const isThere = fc.nat(999).map((one) => (required.includes(member) ? one > 0 : one < 100));
    return fc.tuple(fc.constant(member), isThere, value);
  });
  return fc.tuple(...members).map((made) => {
    const there = made.filter(([, isThere]) => isThere).map(([member, , value]) => [member, value]);
    return Object.fromEntries(there) as unknown;
  });
}

function mapOf(
  { maxProperties = 4 }: Structural,
  inner: Structural,
  name: string,
  known: KnownValues,
): fc.Arbitrary<unknown> {
  const keys = known.get(`${name} keys`) ?? ['a'];
  const key = mostly(fc.constantFrom(...keys), fc.constantFrom(...hostileTexts)).map(String);
  const few = fc.dictionary(key, valueOf(inner, `${name} values`, known), { maxKeys: Math.min(maxProperties, 3) });
  return few.map((map) => ({ ...map }));
}

let specs: readonly Record<string, unknown>[] | undefined;

function goodSpecs(): readonly Record<string, unknown>[] {
  specs ??= corpus('good').map(({ document }) => (document as { spec: Record<string, unknown> }).spec);
  return specs;
}

/** Every value that a good document has for a field, by the field's name. */
function knownValues(): KnownValues {
  const known = new Map<string, unknown[]>();
  const add = (name: string, value: unknown): void => {
    const values = known.get(name);
    if (values === undefined) known.set(name, [value]);
    else if (!values.includes(value)) values.push(value);
  };
  const walk = (name: string, value: unknown): void => {
    if (Array.isArray(value)) for (const entry of value) walk(name, entry);
    else if (typeof value === 'object' && value !== null) {
      for (const [member, inner] of Object.entries(value)) {
        add(`${name} keys`, member);
        if (typeof inner !== 'object') add(`${name} values`, inner);
        walk(member, inner);
      }
    } else if (typeof value !== 'string' || value.length < 1_000) add(name, value);
  };
  for (const spec of goodSpecs()) walk('spec', spec);
  return known;
}
