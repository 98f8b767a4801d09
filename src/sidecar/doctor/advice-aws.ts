// For a fault on the way through Session Manager: the call of the AWS command line, or the command on the node, that shows its cause. Pure.
// Neighbour: advice.ts.
import type { Code } from '../../contract/errors.ts';
import { portDocument } from '../../contract/ssm-documents.ts';
import type { SsmConfig } from '../../contract/tunnel-config.ts';
import { shellWord } from './shell-word.ts';
import type { Advice } from './step.ts';

const where = 'with the AWS command line, as the tunnel’s identity';
const onNode = 'on the node';

/** None if the sentence of the code says all. */
export function awsAdviceFor(code: Code, { region, target }: SsmConfig): Advice[] {
  const aws = (command: string): Advice => ({ where, command: `aws ${command} --region ${region}` });
  const identity = aws('sts get-caller-identity');
  const node = aws(`ssm describe-instance-information --filters ${filterOf(target)}`);
  const agent: Advice = { where: onNode, command: 'sudo systemctl status amazon-ssm-agent' };
  const table: Partial<Record<Code, readonly Advice[]>> = {
    CredentialsMissing: [identity],
    CredentialsExpired: [identity],
    CredentialsRefused: [identity],
    AccessDenied: [identity],
    ResumeDenied: [identity],
    ClockSkew: [{ where: 'where the tunnel runs', command: 'date -u' }],
    RegionWrong: [{ where: 'where the tunnel runs', command: `getent ahosts ssm.${region}.amazonaws.com` }],
    ServiceFailed: [{ where: 'where the tunnel runs', command: `curl -sSI https://ssm.${region}.amazonaws.com` }],
    Throttled: [aws('ssm describe-sessions --state Active')],
    TargetNotConnected: [node, agent],
    TargetNotFound: [node],
    SessionRefused: [node, agent],
    AgentTooOld: [node],
    BastionLost: [node, agent],
    BastionTimeout: [node, agent],
    DocumentUnknown: [aws(`ssm describe-document --name ${portDocument}`)],
    EncryptionDemanded: [aws('ssm get-document --name SSM-SessionManagerRunShell')],
  };
  return [...(table[code] ?? [])];
}

function filterOf(target: SsmConfig['target']): string {
  if ('instanceId' in target) return `Key=InstanceIds,Values=${target.instanceId}`;
  if ('ecsTask' in target) return 'Key=ResourceType,Values=EC2Instance';
  return Object.entries(target.tags)
    .map(([key, value]) => shellWord(`Key=tag:${key},Values=${value}`))
    .join(' ');
}
