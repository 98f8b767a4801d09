// A rule of the API that a plain schema cannot say, written once for both judges: as CEL for the API server (it travels in the CRD)
// and as a function for zod (`portforward check`, the controller), with one sentence and one field path.
// Neighbours: building-blocks.ts (list kinds, maps), every block of the API, scripts/generate/structural.ts (refuses checks without a twin).
import { z } from 'zod';

/** One rule; `check` and `rule` must agree on every value, which the corpus in test/corpus shows. */
export interface Rule<T> {
  /** CEL, with `self` the value that the rule is attached to. */
  readonly rule: string;
  /** The sentence that a person reads: it names the field and the remedy. */
  readonly message: string;
  /** Where the complaint is shown, relative to the value: `.ssm.sessions`. Absent: at the value itself. */
  readonly fieldPath?: string;
  readonly check: (value: T) => boolean;
}

/** Only in CEL, because it compares with the stored object: the stated exception to "both judges". */
export interface TransitionRule {
  readonly rule: string;
  readonly message: string;
}

/** What `x-kubernetes-validations` holds of a rule. */
interface Validation {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

const validationsKey = 'x-kubernetes-validations';

/** Checks that the CRD says in another way (CEL, list type, format); the generator throws at any other custom check. */
const twins = new WeakSet<object>();

/** True for a check made by `withRules` or `withTwin`. */
export function hasTwin(check: object): boolean {
  return twins.has(check);
}

/** `.spec.ports` as a zod path. */
const segments = (fieldPath: string | undefined): string[] =>
  fieldPath === undefined ? [] : fieldPath.split('.').slice(1);

/** Whether the API server, too, judges no rule over a value with this issue: wrong types and lengths stop it, wrong ranges do not. */
function stopsRules(issue: z.core.$ZodRawIssue): boolean {
  if (issue.code === 'custom') return issue.params?.['rule'] === undefined;
  if (issue.code === 'too_big') return issue.origin !== 'number';
  return issue.code !== 'too_small' && issue.code !== 'invalid_format' && issue.code !== 'invalid_value';
}

/** The schema with rules: each is in the CRD as CEL and judged by zod with the same sentence at the same path. */
export function withRules<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  let result = schema;
  for (const { rule, message, fieldPath, check } of rules) {
    const judged = z.check<z.output<S>>((context) => {
      // Like the API server: no rule over a value whose shape is wrong already (an over-long text never meets a regular expression).
      if (context.issues.some(stopsRules) || check(context.value)) return;
      context.issues.push({
        code: 'custom',
        message,
        input: context.value,
        path: segments(fieldPath),
        params: { rule },
        continue: true,
      });
    });
    twins.add(judged);
    result = result.check(judged) as S;
    result = withValidation(result, fieldPath === undefined ? { rule, message } : { rule, message, fieldPath });
  }
  return result;
}

/** The schema with a rule that compares with the stored object. */
export function withTransition<S extends z.ZodType>(schema: S, { rule, message }: TransitionRule): S {
  return withValidation(schema, { rule, message });
}

/** The schema with a check whose twin in the CRD is the given keyword (a list type, a format). */
export function withTwin<S extends z.ZodType>(
  schema: S,
  keywords: Readonly<Record<string, unknown>>,
  judge: (value: z.output<S>) => readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
): S {
  // The API server judges rules over a list with repeated keys, but not over a value of the wrong form.
  const params = 'x-kubernetes-list-type' in keywords ? { rule: 'x-kubernetes-list-type' } : {};
  const judged = z.check<z.output<S>>((context) => {
    for (const { path, message } of judge(context.value)) {
      context.issues.push({ code: 'custom', message, input: context.value, path: [...path], params, continue: true });
    }
  });
  twins.add(judged);
  return (schema.check(judged) as S).meta({ ...keywords }) as S;
}

function withValidation<S extends z.ZodType>(schema: S, validation: Validation): S {
  const present = (schema.meta()?.[validationsKey] ?? []) as readonly Validation[];
  return schema.meta({ [validationsKey]: [...present, validation] }) as S;
}

/** A CEL string literal. Raw where backslashes occur, so that a regular expression reads the same in CEL and in TypeScript. */
function celText(text: string): string {
  if (!text.includes('\\')) return `'${text.replaceAll("'", "\\'")}'`;
  if (text.includes("'")) throw new Error(`a text with backslash and quote needs another spelling: ${text}`);
  return `r'${text}'`;
}

/** A regular expression as a CEL literal: RE2 needs no escape before a slash. */
export const celPattern = (pattern: RegExp): string => celText(pattern.source.replaceAll('\\/', '/'));

/** The rule that a string matches a regular expression (one that RE2 and JavaScript read alike). */
export function matches(pattern: RegExp, message: string): Rule<string> {
  return { rule: `self.matches(${celPattern(pattern)})`, message, check: (value) => pattern.test(value) };
}
