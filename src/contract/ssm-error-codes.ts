// The reasons that only the ssm driver can give: what AWS refuses, and what the agent on the node is not able to do.
// Neighbour: error-codes.ts takes them into the closed list.
import { code } from './error-code.ts';

/** In the order of the way: identity, control API, target, data channel, agent. */
export const ssmErrorCodes = {
  CredentialsMissing: code(
    'bastion',
    'transient',
    'The tunnel finds no AWS credentials.',
    'Neither irsaRoleArn nor Pod Identity is set up for the tunnel’s ServiceAccount, and there is no spec.ssm.secretRef.',
    'Set spec.ssm.irsaRoleArn, associate a role by Pod Identity, or name a Secret with static keys. On a laptop, sign in as for the AWS command line.',
  ),
  CredentialsExpired: code(
    'bastion',
    'transient',
    'AWS does not accept the credentials any more.',
    'Temporary keys in the Secret have expired, or the keys were deleted.',
    'Renew the keys in the Secret; they are re-read at once.',
  ),
  CredentialsRefused: code(
    'bastion',
    'permanent',
    'AWS does not know the credentials, or their signature is wrong.',
    'The access key or its secret is misspelt, or belongs to another partition.',
    'Correct the keys in the Secret, or the role of spec.ssm.irsaRoleArn or assumeRole.',
  ),
  AccessDenied: code(
    'bastion',
    'permanent',
    'The AWS identity of the tunnel is not allowed to do what the message names.',
    'Its IAM policy lacks the action or the resource.',
    'Add the action that the message names to the policy; portforward iam prints the least one (docs/ssm.md).',
  ),
  ResumeDenied: code(
    'bastion',
    'permanent',
    'The tunnel may not resume its sessions, so that the hourly close of the service would drop every connection.',
    'The IAM policy lacks ssm:ResumeSession on the session.',
    'Add ssm:ResumeSession to the policy; portforward iam prints the least one (docs/ssm.md).',
  ),
  ClockSkew: code(
    'bastion',
    'permanent',
    'AWS refuses the signature because the clocks differ.',
    'The node’s clock is off by more than five minutes.',
    'Correct the time of the node (NTP).',
  ),
  RegionWrong: code(
    'bastion',
    'transient',
    'There is no Session Manager under the region’s name.',
    'spec.ssm.region is misspelt, or there is no DNS, or none that knows the endpoint, where the tunnel runs.',
    'Correct spec.ssm.region, or the DNS there.',
  ),
  EndpointNotAllowed: code(
    'bastion',
    'permanent',
    'An address that would get signed requests is neither one of AWS nor on the operator’s list.',
    'spec.ssm.endpoints, or the address that the service gave for the data channel, is not what it should be.',
    'Correct spec.ssm.endpoints, or let the administrator allow the address (chart value allowedAwsEndpoints; --allow-endpoint on a laptop).',
  ),
  Throttled: code(
    'bastion',
    'transient',
    'AWS limits the rate of the account’s calls.',
    'Many sessions are started in the account at the same time.',
    'Wait; if it stays, use fewer replicas or sessions, or ask AWS for a higher quota.',
  ),
  ServiceFailed: code(
    'bastion',
    'transient',
    'Session Manager failed, or could not be reached.',
    'An outage at AWS, or no way to its endpoints from the cluster.',
    'Check the egress to the endpoints ssm and ssmmessages of the region, and AWS’s health page.',
  ),
  TargetNotConnected: code(
    'bastion',
    'transient',
    'The node is not connected to Session Manager.',
    'It is stopped or starting, its agent does not run, or it is in another region or account.',
    'Start the node and its agent, and give it a role with AmazonSSMManagedInstanceCore.',
  ),
  TargetNotFound: code(
    'bastion',
    'transient',
    'No connected instance, node or task matches the target.',
    'The tags, or the ECS cluster, service and container, name nothing that runs.',
    'Correct spec.ssm.target, or start what it names.',
  ),
  DocumentUnknown: code(
    'bastion',
    'permanent',
    'The account does not know the Session Manager document for port forwarding.',
    'The region or the account restricts the AWS documents.',
    'Allow AWS-StartPortForwardingSession and AWS-StartPortForwardingSessionToRemoteHost.',
  ),
  SessionRefused: code(
    'bastion',
    'transient',
    'The agent or the service ended the session before it carried a byte.',
    'The handshake timed out, the agent refuses the destination, or a session preference does not fit.',
    'Do what the message says; the agent’s log on the node has more.',
  ),
  EncryptionDemanded: code(
    'bastion',
    'permanent',
    'The account demands a KMS key for sessions, which port forwarding does not support.',
    'The account’s Session Manager preferences name a KMS key and the agent applies it to port sessions.',
    'Turn KMS encryption off in the Session Manager preferences. The channel is encrypted by TLS in any case.',
  ),
  AgentTooOld: code(
    'bastion',
    'permanent',
    'The SSM agent on the node is too old for what the document asks.',
    'Reaching another host than the node itself needs agent 3.1.1374.0 or newer.',
    'Update the SSM agent on the node.',
  ),
} as const;
