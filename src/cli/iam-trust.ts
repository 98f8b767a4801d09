// Who may assume the roles of a tunnel: the pods of its ServiceAccount the tunnel's own role, and that role the second one. Pure.
// Neighbours: iam.ts prints them, iam-policy.ts says what the roles may do; controller/children/ names the ServiceAccount.
import type { PortForward } from '../contract/api/portforward.ts';
import { defined } from '../contract/defined.ts';
import { childName } from '../controller/children/names.ts';
import {
  type Holder,
  type Policy,
  partitionOf,
  passesTags,
  policy,
  type SsmSpec,
  type Statement,
} from './iam-policy.ts';
import { UsageError } from './usage-error.ts';

/** What a document does not contain. */
export interface TrustFacts {
  /** For a document without a namespace. */
  readonly namespace: string | undefined;
  readonly account: string | undefined;
  /** The cluster's issuer, with or without `https://`; undefined: EKS Pod Identity. */
  readonly oidcIssuer: string | undefined;
  /** The ARN of the role that assumes the other. */
  readonly tunnelRole: string | undefined;
}

/** The trust policies of the tunnel's roles; none for keys of a Secret, which belong to a user. @throws UsageError if a fact is missing. */
export function trust(
  portForward: PortForward,
  ssm: SsmSpec,
  roles: readonly Holder[],
  facts: TrustFacts,
): Partial<Record<Holder, Policy>> {
  const own = roles.includes('tunnel') && ssm.secretRef === undefined;
  const assumed = roles.includes('assumed') && ssm.assumeRole !== undefined;
  return defined({
    tunnel: own ? tunnelTrust(portForward, ssm, facts) : undefined,
    assumed: assumed ? assumedTrust(ssm, facts) : undefined,
  });
}

function tunnelTrust({ metadata, spec }: PortForward, ssm: SsmSpec, facts: TrustFacts): Policy {
  const namespace = metadata.namespace ?? facts.namespace;
  if (namespace === undefined) throw new UsageError('a trust policy names the namespace: add --namespace');
  const { name } = metadata;
  if (name === undefined) throw new UsageError('a trust policy names the ServiceAccount: set metadata.name');
  const serviceAccount = spec.pod?.serviceAccountName ?? childName({ metadata: { name } });
  if (facts.oidcIssuer === undefined) {
    if (ssm.irsaRoleArn !== '') {
      throw new UsageError(
        'the trust policy of spec.ssm.irsaRoleArn names the cluster’s OIDC issuer: add --oidc-issuer, as in oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF',
      );
    }
    return policy({
      Sid: 'TunnelPods',
      Effect: 'Allow',
      Principal: { Service: 'pods.eks.amazonaws.com' },
      Action: ['sts:AssumeRole', 'sts:TagSession'],
      Condition: {
        StringEquals: {
          'aws:RequestTag/kubernetes-namespace': namespace,
          'aws:RequestTag/kubernetes-service-account': serviceAccount,
        },
      },
    });
  }
  const issuer = facts.oidcIssuer.replace(/^https:\/\//, '').replace(/\/$/, '');
  const account = /:iam::(\d+):/.exec(ssm.irsaRoleArn)?.[1] ?? facts.account;
  if (account === undefined) {
    throw new UsageError('a trust policy names the account of the OIDC provider: add --account');
  }
  return policy({
    Sid: 'TunnelPods',
    Effect: 'Allow',
    Principal: { Federated: `arn:${partitionOf(ssm.region)}:iam::${account}:oidc-provider/${issuer}` },
    Action: ['sts:AssumeRoleWithWebIdentity'],
    Condition: {
      StringEquals: {
        [`${issuer}:aud`]: 'sts.amazonaws.com',
        [`${issuer}:sub`]: `system:serviceaccount:${namespace}:${serviceAccount}`,
      },
    },
  });
}

function assumedTrust(ssm: SsmSpec, { tunnelRole }: TrustFacts): Policy {
  const role = tunnelRole ?? (ssm.secretRef === undefined ? ssm.irsaRoleArn : '');
  if (role === '') {
    throw new UsageError('the trust policy of spec.ssm.assumeRole names who assumes it: add --tunnel-role and its ARN');
  }
  const externalId = ssm.assumeRole?.externalId;
  const from = { Effect: 'Allow', Principal: { AWS: role } } as const;
  const assume: Statement = defined({
    Sid: 'Tunnel',
    ...from,
    Action: ['sts:AssumeRole'],
    Condition: externalId === undefined ? undefined : { StringEquals: { 'sts:ExternalId': externalId } },
  });
  if (!passesTags(ssm)) return policy(assume);
  return policy(assume, { Sid: 'TunnelTags', ...from, Action: ['sts:TagSession'] });
}
