// IAM's evaluation, as far as our policies use it: exact actions, wildcards in resources, policy variables, four condition operators.
// Neighbours: iam-policy.test.ts (asks it), aws-recorder.ts (what was called).
import type { Policy, Statement } from '../../../src/cli/iam-policy.ts';

/** One question to IAM: may this be done with that? */
export interface Question {
  readonly action: string;
  readonly resource: string;
  /** Condition keys and policy variables, e.g. `aws:username`. */
  readonly context: Readonly<Record<string, string>>;
}

/** Whether a statement allows it. @throws Error for an operator that is not known here. */
export function allows({ Statement: statements }: Policy, question: Question): boolean {
  return statements.some((statement) => matches(statement, question));
}

function matches(
  { Action, Resource = [], Condition = {} }: Statement,
  { action, resource, context }: Question,
): boolean {
  if (!Action.includes(action)) return false;
  if (!Resource.some((pattern) => like(pattern, resource, context))) return false;
  return Object.entries(Condition).every(([operator, keys]) =>
    Object.entries(keys).every(([key, values]) => {
      const wanted = typeof values === 'string' ? [values] : values;
      const given = context[key];
      switch (operator) {
        case 'StringEquals':
          return given !== undefined && wanted.includes(given);
        case 'ArnLike':
          return given !== undefined && wanted.some((pattern) => like(pattern, given, context));
        case 'BoolIfExists':
          return given === undefined || wanted.includes(given);
        default:
          throw new Error(`the condition operator ${operator} is not known here`);
      }
    }),
  );
}

/** `*` and `?` match any text and any character; a variable without a value matches nothing. */
function like(pattern: string, text: string, context: Question['context']): boolean {
  const variables = [...pattern.matchAll(/\$\{([^}]+)\}/g)].map(([, name = '']) => name);
  if (variables.some((name) => context[name] === undefined)) return false;
  const filled = pattern.replaceAll(/\$\{([^}]+)\}/g, (_, name: string) => context[name] ?? '');
  const expression = filled
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`).test(text);
}
