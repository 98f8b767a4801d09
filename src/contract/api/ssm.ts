// spec.ssm: the tunnel through AWS Systems Manager Session Manager, to a port of a managed node or to any host that the node reaches.
// Neighbours: portforward.ts (exactly one driver, the limit of sessions), names.ts (Secrets).
import { z } from 'zod';
import { boundedText, integer, keysMatch, mapOf, text } from './building-blocks.ts';
import { secretRef } from './names.ts';
import { celPattern, matches, withRules } from './rule.ts';

/** ports × sessions × replicas of one PortForward: each is a Session Manager session, which AWS counts per account and node. */
export const maxSsmSessions = 64;

const ecsName = (what: string) =>
  withRules(text(255, 1), [matches(/^[A-Za-z0-9_-]+$/, `${what} is made of letters, digits, '-' and '_'`)]);

const roleArn = /^arn:aws[a-z-]*:iam::[0-9]{12}:role\/[A-Za-z0-9_+=,.@/-]+$/;
const roleArnForm = 'a role is written as its ARN: arn:aws:iam::123456789012:role/name';

const tagText = /^[A-Za-z0-9 _.:/=+@-]*$/;
const tagForm = 'tags are made of letters, digits, spaces and _ . : / = + - @';

const targetSchema = withRules(
  z.strictObject({
    instanceId: withRules(text(64, 1), [
      matches(
        /^m?i-[0-9a-f]+$/,
        'instanceId begins with i- (EC2) or mi- (managed node), then hexadecimal digits, as in i-0123456789abcdef0',
      ),
    ])
      .exactOptional()
      .describe('Id of an EC2 instance (i-…) or of another managed node (mi-…).'),
    tags: withRules(
      mapOf(boundedText(256).regex(tagText, tagForm), 5, [
        keysMatch(/^[A-Za-z0-9 _.:/=+@-]{1,128}$/, `${tagForm}; a key has 1 to 128 characters`),
      ]),
      [
        {
          rule: 'size(self) >= 1',
          message: 'tags is empty: name at least one tag, or use instanceId',
          check: (tags) => Object.keys(tags).length >= 1,
        },
      ],
    )
      .exactOptional()
      .describe(
        'Tags that the node carries, all of them: {Role: bastion}. Looked up again when the node is lost, so a replacement is found automatically.',
      ),
    ecsTask: z
      .strictObject({
        cluster: ecsName('an ECS cluster').describe('Name of the ECS cluster.'),
        service: ecsName('an ECS service').describe('Name of the ECS service whose running task is the target.'),
        container: ecsName('a container').describe('Name of the container in the task.'),
      })
      .exactOptional()
      .describe(
        'A running task of an ECS service that has ECS Exec enabled. Another task is taken when it is replaced.',
      ),
  }),
  [
    {
      rule: '[has(self.instanceId), has(self.tags), has(self.ecsTask)].exists_one(given, given)',
      message: 'target needs exactly one of instanceId, tags and ecsTask',
      check: (target) =>
        [target.instanceId, target.tags, target.ecsTask].filter((given) => given !== undefined).length === 1,
    },
  ],
).describe('The node that carries the tunnel: exactly one of instanceId, tags and ecsTask.');

const endpoint = (service: string) =>
  withRules(text(512), [
    matches(
      /^(https:\/\/[A-Za-z0-9.-]+(:[0-9]{1,5})?\/?)?$/,
      'an endpoint is https:// and a name, with a port if it is not 443, and nothing behind it',
    ),
  ])
    .default('')
    .describe(
      `Endpoint of ${service}, as in https://vpce-0abc.${service}.eu-west-1.vpce.amazonaws.com. Empty: the region's own.`,
    );

export const ssmSchema = z
  .strictObject({
    region: withRules(text(32, 1), [
      matches(/^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$/, 'region is an AWS region such as eu-west-1'),
    ]).describe('AWS region of the node, as in eu-west-1.'),
    target: targetSchema,
    assumeRole: z
      .strictObject({
        roleArn: withRules(text(2048, 1), [matches(roleArn, roleArnForm)]).describe(
          'ARN of the role to assume, for example in the account of the node.',
        ),
        externalId: withRules(text(1224, 2), [
          matches(/^[A-Za-z0-9_+=,.@:/-]+$/, 'externalId is made of letters, digits and _ + = , . @ : / -'),
        ])
          .exactOptional()
          .describe('External id that the role demands.'),
        sessionTags: mapOf(boundedText(256).regex(tagText, tagForm), 50, [
          keysMatch(/^[A-Za-z0-9 _.:/=+@-]{1,128}$/, `${tagForm}; a key has 1 to 128 characters`),
        ])
          .exactOptional()
          .describe('Session tags to pass, at most 50.'),
      })
      .exactOptional()
      .describe("A role to assume with the pod's own identity before AWS is asked for a session."),
    irsaRoleArn: withRules(text(2048), [
      {
        rule: `self == '' || self.matches(${celPattern(roleArn)})`,
        message: roleArnForm,
        check: (value) => value === '' || roleArn.test(value),
      },
    ])
      .default('')
      .describe(
        "Role for IAM Roles for Service Accounts: becomes the annotation eks.amazonaws.com/role-arn of the tunnel's ServiceAccount. Empty: no annotation (EKS Pod Identity or secretRef instead).",
      ),
    secretRef: secretRef('Keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.')
      .exactOptional()
      .describe(
        "Static keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. Without it the pod's own identity is used (IRSA or EKS Pod Identity), never the node's role unless the chart allows it.",
      ),
    sessions: integer(1, 16)
      .default(1)
      .describe(
        'Parallel sessions for each port and pod; connections are spread over them. One session carries about 1 MB/s, limited by AWS. ports × sessions × replicas may be at most 64.',
      ),
    maxSessionMinutes: integer(0, 1440)
      .default(0)
      .describe(
        "The account's limit on a session's life in minutes; a replacement is ready before it ends. 0: learned from the first session that AWS ends.",
      ),
    endpoints: z
      .strictObject({
        ssm: endpoint('ssm'),
        ssmmessages: endpoint('ssmmessages'),
        sts: endpoint('sts'),
        ecs: endpoint('ecs'),
      })
      .exactOptional()
      .describe(
        "Private endpoints (AWS PrivateLink). Only TLS, and only names of AWS or of the operator's allow-list.",
      ),
  })
  .describe(
    'Reach the private network through AWS Systems Manager Session Manager: no open port, no SSH key. Example: {region: eu-west-1, target: {tags: {Role: bastion}}}.',
  );
