// The minimal permissions in AWS for the tunnel of a PortForward with spec.ssm: one policy for the pods' own identity, and one for the role
// that they assume, if any. Pure.
// Neighbours: iam.ts prints them, iam-trust.ts says who may assume the roles; sidecar/drivers/ssm/ makes the calls.
import { effectivePorts } from '../contract/api/effective.ts';
import type { PortForward, PortForwardSpec } from '../contract/api/portforward.ts';
import { defined } from '../contract/defined.ts';
import { isNodeItself, portDocument, remoteHostDocument } from '../contract/ssm-documents.ts';

type Condition = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

export interface Statement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Principal?: Readonly<Record<string, string>>;
  readonly Action: readonly string[];
  /** Absent in a trust policy. */
  readonly Resource?: readonly string[];
  readonly Condition?: Condition;
}

/** As `aws iam put-role-policy` and `create-role` take it. */
export interface Policy {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

export type SsmSpec = NonNullable<PortForwardSpec['ssm']>;

/** What the policies are attached to. */
export type Holder = 'tunnel' | 'assumed';

/** The policy of each role that the tunnel has; `account` is used if no role of the document contains it. */
export function permissions(
  { spec }: Pick<PortForward, 'spec'>,
  ssm: SsmSpec,
  account: string | undefined,
): Partial<Record<Holder, Policy>> {
  const sessions = sessionPolicy(spec, ssm, accountOf(ssm) ?? account ?? '*');
  const { assumeRole } = ssm;
  if (assumeRole === undefined) return { tunnel: sessions };
  const actions = passesTags(ssm) ? ['sts:AssumeRole', 'sts:TagSession'] : ['sts:AssumeRole'];
  return { tunnel: policy(allow('AssumeRole', actions, [assumeRole.roleArn])), assumed: sessions };
}

/** The account in which sessions are started; undefined if the document does not say. */
function accountOf({ assumeRole, irsaRoleArn, secretRef }: SsmSpec): string | undefined {
  const role = assumeRole?.roleArn ?? (secretRef === undefined ? irsaRoleArn : '');
  return /^arn:[^:]+:iam::(\d+):/.exec(role)?.[1];
}

/** True for tags of the document, and for those that EKS Pod Identity sets on every session and passes on. */
export function passesTags({ assumeRole, irsaRoleArn, secretRef }: SsmSpec): boolean {
  const own = Object.keys(assumeRole?.sessionTags ?? {}).length > 0;
  return own || (irsaRoleArn === '' && secretRef === undefined);
}

/** `aws`, `aws-cn`, …: the first part of every ARN of the region. */
export function partitionOf(region: string): string {
  const [prefix = '', second = ''] = region.split('-');
  if (prefix === 'cn') return 'aws-cn';
  if (prefix === 'eusc') return 'aws-eusc';
  return partitions[`${prefix}-${second}`] ?? 'aws';
}

const partitions: Readonly<Record<string, string>> = {
  'us-gov': 'aws-us-gov',
  'us-iso': 'aws-iso',
  'us-isob': 'aws-iso-b',
  'eu-isoe': 'aws-iso-e',
  'us-isof': 'aws-iso-f',
};

function sessionPolicy(spec: PortForwardSpec, ssm: SsmSpec, account: string): Policy {
  const { region } = ssm;
  const arn = (service: string, resource: string, owner = account): string =>
    `arn:${partitionOf(region)}:${service}:${region}:${owner}:${resource}`;
  const documents = [...new Set(effectivePorts(spec).map(documentOf))].map((name) =>
    arn('ssm', `document/${name}`, ''),
  );
  const own = sessionPrefixes(ssm).map((prefix) => arn('ssm', `session/${prefix}-*`));
  const { nodes, condition, lookUp } = target(ssm, arn);
  return policy(
    allow('StartOnTarget', ['ssm:StartSession'], nodes, { ...condition, ...documentCheck }),
    allow('StartPortForwarding', ['ssm:StartSession'], documents, documentCheck),
    allow('KeepOwnSessions', ['ssm:ResumeSession', 'ssm:TerminateSession', 'ssmmessages:OpenDataChannel'], own),
    allow('FindOwnLeftovers', ['ssm:DescribeSessions'], ['*']),
    ...lookUp,
  );
}

/** Without it, anyone who may start a session on the node could omit the document and get a shell. */
const documentCheck: Condition = { BoolIfExists: { 'ssm:SessionDocumentAccessCheck': 'true' } };

function documentOf({ destination }: ReturnType<typeof effectivePorts>[number]): string {
  return 'host' in destination && isNodeItself(destination.host) ? portDocument : remoteHostDocument;
}

interface Target {
  readonly nodes: readonly string[];
  readonly condition?: Condition;
  /** The permissions to find the node. */
  readonly lookUp: readonly Statement[];
}

function target(
  { target: { instanceId, tags, ecsTask } }: SsmSpec,
  arn: (service: string, resource: string) => string,
): Target {
  if (ecsTask !== undefined) {
    const tasks = [arn('ecs', `task/${ecsTask.cluster}/*`)];
    const cluster = { ArnLike: { 'ecs:cluster': arn('ecs', `cluster/${ecsTask.cluster}`) } };
    return {
      nodes: tasks,
      lookUp: [allow('ListTasks', ['ecs:ListTasks'], ['*'], cluster), allow('ReadTasks', ['ecs:DescribeTasks'], tasks)],
    };
  }
  const instance = (id: string): string => arn('ec2', `instance/${id}`);
  const managed = (id: string): string => arn('ssm', `managed-instance/${id}`);
  if (instanceId !== undefined) {
    return { nodes: [instanceId.startsWith('mi-') ? managed(instanceId) : instance(instanceId)], lookUp: [] };
  }
  const wanted = Object.entries(tags ?? {}).map(([key, value]) => [`ssm:resourceTag/${key}`, value]);
  return {
    nodes: [instance('*'), managed('*')],
    condition: { StringEquals: Object.fromEntries(wanted) },
    lookUp: [allow('FindNodes', ['ssm:DescribeInstanceInformation', 'ssm:GetConnectionStatus'], ['*'])],
  };
}

/** Prefixes of session ids: the role session's name, or the user's. */
function sessionPrefixes({ assumeRole, irsaRoleArn, secretRef }: SsmSpec): readonly string[] {
  if (assumeRole !== undefined) return ['portforward'];
  if (secretRef !== undefined) return ['${aws:username}'];
  // Without a role in the document: the name that EKS Pod Identity uses, or ours for a web identity of the user's own ServiceAccount.
  return irsaRoleArn === '' ? ['eks', 'portforward'] : ['portforward'];
}

export const policy = (...statements: readonly Statement[]): Policy => ({
  Version: '2012-10-17',
  Statement: statements,
});

function allow(Sid: string, Action: readonly string[], Resource: readonly string[], condition?: Condition): Statement {
  return defined({ Sid, Effect: 'Allow' as const, Action, Resource, Condition: condition });
}
