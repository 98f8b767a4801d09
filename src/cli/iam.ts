// `portforward iam`: the IAM policies that the tunnels of documents with spec.ssm need, as JSON for the AWS command line. Policies go to
// standard output, explanations to standard error.
// Neighbours: iam-policy.ts (what a tunnel may do), iam-trust.ts (who may assume its roles), check.ts (the verdict), documents.ts (files).
import { parsePortForward } from '../contract/api/parse.ts';
import type { PortForward } from '../contract/api/portforward.ts';
import { isPortForward } from '../contract/api/verdict.ts';
import { complaintLines, judge, nameOf } from './check.ts';
import { type FileDocument, readDocuments } from './documents.ts';
import { type Holder, type Policy, permissions } from './iam-policy.ts';
import { type TrustFacts, trust } from './iam-trust.ts';
import { UsageError } from './usage-error.ts';

export interface IamOptions extends TrustFacts {
  readonly files: readonly string[];
  readonly name: string | undefined;
  /** The policies of one role only. */
  readonly role: Holder | undefined;
  /** Trust policies instead of permissions. */
  readonly trust: boolean;
  readonly output: 'text' | 'json';
  /** Prints one line or one JSON document; it has no line end. */
  readonly print: (text: string) => void;
  readonly complain: (line: string) => void;
}

/** One policy; also the form of `--output json`. */
interface Printed {
  readonly name: string;
  readonly role: Holder;
  readonly kind: 'permissions' | 'trust';
  readonly policy: Policy;
}

const roles: readonly Holder[] = ['tunnel', 'assumed'];
const roleText: Readonly<Record<Holder, string>> = {
  tunnel: 'the tunnel’s own identity',
  assumed: 'spec.ssm.assumeRole',
};

/**
 * Prints the policies of all documents with spec.ssm; true if there is at least one and no document is invalid.
 * @throws UsageError for unreadable files, an unknown name, or a fact that a trust policy needs and that is missing.
 */
export function iam(options: IamOptions): boolean {
  const { files, name, output, print, complain } = options;
  if (options.account !== undefined && !/^\d{12}$/.test(options.account)) {
    throw new UsageError(`--account ${options.account}: an AWS account has 12 digits`);
  }
  const { documents, complaints } = readDocuments(files);
  for (const { file, line, column, message } of complaints) complain(`${file}:${line}:${column}: ${message}`);
  const all = documents.filter(({ value }) => isPortForward(value));
  const chosen = name === undefined ? all : all.filter(({ value }) => isCalled(value, name));
  if (name !== undefined && chosen.length === 0) throw new UsageError(`${files.join(', ')}: there is no ${name}`);
  const results = chosen.map((document) => policiesOf(document, options));
  const printed = results.flatMap((each) => each ?? []);
  if (output === 'json') print(json(printed));
  else {
    for (const each of printed) {
      complain(`${each.name}: ${each.kind} of ${roleText[each.role]}`);
      print(json(each.policy));
    }
  }
  if (printed.length === 0) complain(`no policy for ${files.join(', ')}: no PortForward there has what was asked for`);
  return printed.length > 0 && complaints.length === 0 && results.every((each) => each !== undefined);
}

/** Undefined for an invalid document, empty for one without spec.ssm; prints why. */
function policiesOf(document: FileDocument, options: IamOptions): readonly Printed[] | undefined {
  const { value, file } = document;
  const parsed = parsePortForward(value);
  const verdict = judge(document);
  if (!verdict.valid || !parsed.ok) {
    for (const line of complaintLines(verdict)) options.complain(line);
    return undefined;
  }
  const portForward = parsed.value;
  const { ssm } = portForward.spec;
  const name = nameOf(value);
  if (ssm === undefined) {
    options.complain(`${file}:${verdict.line}: ${name}: skipped, it has no spec.ssm${flyToken(portForward)}`);
    return [];
  }
  const wanted = options.role === undefined ? roles : [options.role];
  const kind = options.trust ? 'trust' : 'permissions';
  const policies = options.trust
    ? trust(portForward, ssm, wanted, options)
    : permissions(portForward, ssm, options.account);
  return wanted.flatMap((role) => {
    const policy = policies[role];
    return policy === undefined ? [] : [{ name, role, kind, policy } as const];
  });
}

/** spec.fly has a token instead of a policy. */
function flyToken({ metadata, spec: { fly } }: PortForward): string {
  if (fly === undefined) return '';
  const token = fly.app === undefined ? `org --org ${fly.org}` : `deploy --app ${fly.app}`;
  const into = metadata.namespace === undefined ? 'kubectl' : `kubectl -n ${metadata.namespace}`;
  const secret = `${into} create secret generic ${fly.secretRef.name} --from-literal=FLY_API_TOKEN`;
  return `; its token: ${secret}="$(fly tokens create ${token})"`;
}

const isCalled = (value: unknown, name: string): boolean =>
  [nameOf(value), nameOf(value).split('/').at(-1)].includes(name);

const json = (value: unknown): string => JSON.stringify(value, undefined, 2);
