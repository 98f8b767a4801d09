import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type IamOptions, iam } from '../../../src/cli/iam.ts';
import { noPermissions } from '../../../src/contract/permissions.ts';
import type { ValidPortForward } from '../../../src/controller/base/portforward.ts';
import { serviceAccount } from '../../../src/controller/children/service-account.ts';

let directory: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'portforward-iam-'));
});

after(() => rmSync(directory, { recursive: true }));

const ssm = (block: string, name = 'orders-db'): string => `apiVersion: portforward.dev/v1alpha1
kind: PortForward
metadata: { name: ${name}, namespace: shop }
spec:
  ports:
  - port: 5432
  ssm: { region: eu-west-1, target: { instanceId: i-0abc }, ${block} }
`;
const ssh = `apiVersion: portforward.dev/v1alpha1
kind: PortForward
metadata: { name: legacy, namespace: shop }
spec:
  ports:
  - port: 5432
  ssh: { user: tunnel, bastions: [{ host: bastion.example.com }], secretRef: { name: key } }
`;
const irsa = 'irsaRoleArn: "arn:aws:iam::123456789012:role/tunnel"';
const assumed = 'assumeRole: { roleArn: "arn:aws:iam::210987654321:role/database", externalId: shop }';

interface Run {
  readonly complete: boolean;
  readonly printed: readonly string[];
  readonly complaints: readonly string[];
}

function run(text: string, options: Partial<IamOptions> = {}): Run {
  const file = join(directory, 'pf.yaml');
  writeFileSync(file, text);
  const printed: string[] = [];
  const complaints: string[] = [];
  const complete = iam({
    files: [file],
    name: undefined,
    role: undefined,
    trust: false,
    namespace: undefined,
    account: undefined,
    oidcIssuer: undefined,
    tunnelRole: undefined,
    output: 'text',
    print: (each) => printed.push(each),
    complain: (line) => complaints.push(line.replaceAll(file, 'pf.yaml')),
    ...options,
  });
  return { complete, printed, complaints };
}

interface Statement {
  readonly Sid: string;
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Principal: unknown;
  readonly Condition: unknown;
}

const statementsOf = (text: string | undefined): readonly Statement[] =>
  (JSON.parse(text ?? '') as { readonly Statement: readonly Statement[] }).Statement;

suite('permissions', () => {
  test('one policy is one JSON document on standard output; its purpose goes to standard error', () => {
    const { complete, printed, complaints } = run(ssm(irsa));
    assert.ok(complete);
    assert.equal(printed.length, 1);
    assert.deepEqual(
      statementsOf(printed[0]).map(({ Sid }) => Sid),
      ['StartOnTarget', 'StartPortForwarding', 'KeepOwnSessions', 'FindOwnLeftovers'],
    );
    assert.deepEqual(complaints, ['shop/orders-db: permissions of the tunnel’s own identity']);
  });

  test('a role to assume has the sessions, in its own account, and the tunnel’s own identity may only assume it', () => {
    const { printed, complaints } = run(ssm(`${irsa}, ${assumed}`), { account: '111111111111' });
    assert.deepEqual(statementsOf(printed[0]), [
      {
        Sid: 'AssumeRole',
        Effect: 'Allow',
        Action: ['sts:AssumeRole'],
        Resource: ['arn:aws:iam::210987654321:role/database'],
      },
    ]);
    assert.deepEqual(statementsOf(printed[1])[0]?.Resource, ['arn:aws:ec2:eu-west-1:210987654321:instance/i-0abc']);
    assert.deepEqual(complaints, [
      'shop/orders-db: permissions of the tunnel’s own identity',
      'shop/orders-db: permissions of spec.ssm.assumeRole',
    ]);
    assert.deepEqual(run(ssm(`${irsa}, ${assumed}`), { role: 'assumed' }).printed, [printed[1]]);
  });

  test('the account is the role’s, else the given one, else any', () => {
    const accountOf = (text: string, options: Partial<IamOptions> = {}): string | undefined =>
      statementsOf(run(text, options).printed[0])[0]?.Resource[0]?.split(':')[4];
    assert.equal(accountOf(ssm(irsa)), '123456789012');
    assert.equal(accountOf(ssm('sessions: 1'), { account: '111111111111' }), '111111111111');
    assert.equal(accountOf(ssm('sessions: 1')), '*');
    // Keys of a Secret win over the pod's own role, whatever its account is.
    assert.equal(accountOf(ssm(`${irsa}, secretRef: { name: aws }`)), '*');
    assert.throws(() => run(ssm(irsa), { account: '12' }), /--account 12: an AWS account has 12 digits/);
  });

  test('documents without ssm are named and skipped, others of the file are still served', () => {
    const { complete, printed, complaints } = run(`${ssh}---\n${ssm(irsa)}---\n${ssm(irsa, 'stock-db')}`);
    assert.ok(complete);
    assert.equal(printed.length, 2);
    assert.equal(complaints[0], 'pf.yaml:1: shop/legacy: skipped, it has no spec.ssm');
    assert.deepEqual(run(`${ssm(irsa)}---\n${ssm(irsa, 'stock-db')}`, { name: 'stock-db' }).complaints, [
      'shop/stock-db: permissions of the tunnel’s own identity',
    ]);
    assert.throws(() => run(ssm(irsa), { name: 'other' }), /there is no other/);
  });

  test('a file without any ssm gives no policy, and that is a failure', () => {
    const { complete, printed, complaints } = run(ssh);
    assert.ok(!complete);
    assert.deepEqual(printed, []);
    assert.match(complaints.at(-1) ?? '', /^no policy for/);
  });

  test('an invalid document gets no policy but the sentences of check; a file that is not YAML is reported', () => {
    const { complete, printed, complaints } = run(
      `${ssm('region: moon')}---\n${ssm(irsa)}`.replace('region: eu-west-1, ', ''),
    );
    assert.ok(!complete);
    assert.equal(printed.length, 1);
    assert.equal(
      complaints[0],
      'pf.yaml:7:50: shop/orders-db: spec.ssm.region: region is an AWS region such as eu-west-1',
    );
    assert.match(run('a: [1\n').complaints[0] ?? '', /^pf\.yaml:\d+:\d+: is not YAML/);
  });

  test('JSON output is one array that says what each policy is for', () => {
    const { printed } = run(`${ssm(`${irsa}, ${assumed}`)}---\n${ssm(irsa, 'stock-db')}`, { output: 'json' });
    const all = JSON.parse(printed.join('\n')) as { name: string; role: string; kind: string; policy: object }[];
    assert.deepEqual(
      all.map(({ name, role, kind }) => [name, role, kind]),
      [
        ['shop/orders-db', 'tunnel', 'permissions'],
        ['shop/orders-db', 'assumed', 'permissions'],
        ['shop/stock-db', 'tunnel', 'permissions'],
      ],
    );
  });
});

suite('trust', () => {
  const trust = (text: string, options: Partial<IamOptions> = {}): readonly Statement[] =>
    run(text, { trust: true, ...options }).printed.flatMap((each) => statementsOf(each));
  const issuer = 'oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF';

  test('the ServiceAccount is the one that the controller creates', () => {
    const portForward = { metadata: { name: 'orders-db', namespace: 'shop' }, spec: {} } as ValidPortForward;
    const made = serviceAccount(portForward, {
      environment: [],
      permissions: noPermissions,
      caBundle: '',
      serviceAccountAnnotations: {},
    })?.metadata.name;
    const [statement] = trust(ssm('sessions: 1'));
    assert.deepEqual(statement?.Principal, { Service: 'pods.eks.amazonaws.com' });
    assert.deepEqual(statement?.Action, ['sts:AssumeRole', 'sts:TagSession']);
    assert.deepEqual(statement?.Condition, {
      StringEquals: {
        'aws:RequestTag/kubernetes-namespace': 'shop',
        'aws:RequestTag/kubernetes-service-account': made,
      },
    });
  });

  test('a web identity is trusted by the cluster’s issuer, with or without its scheme', () => {
    const [statement] = trust(ssm(irsa), { oidcIssuer: `https://${issuer}/` });
    assert.deepEqual(statement?.Principal, { Federated: `arn:aws:iam::123456789012:oidc-provider/${issuer}` });
    assert.deepEqual(statement?.Condition, {
      StringEquals: {
        [`${issuer}:aud`]: 'sts.amazonaws.com',
        [`${issuer}:sub`]: 'system:serviceaccount:shop:pf-orders-db',
      },
    });
    const own = `${ssm('sessions: 1')}  pod: { serviceAccountName: tunnels }\n`;
    const trusted = trust(own, { oidcIssuer: issuer, account: '123456789012' });
    assert.match(JSON.stringify(trusted), /system:serviceaccount:shop:tunnels"/);
  });

  test('the assumed role trusts the tunnel’s role, with the external id', () => {
    const statements = trust(ssm(`${irsa}, ${assumed}`), { role: 'assumed' });
    assert.deepEqual(statements, [
      {
        Sid: 'Tunnel',
        Effect: 'Allow',
        Principal: { AWS: 'arn:aws:iam::123456789012:role/tunnel' },
        Action: ['sts:AssumeRole'],
        Condition: { StringEquals: { 'sts:ExternalId': 'shop' } },
      },
    ]);
    // Pod Identity passes its tags on.
    const tunnelRole = 'arn:aws:iam::123456789012:role/pods';
    const [, tags] = trust(ssm(assumed), { role: 'assumed', tunnelRole });
    assert.deepEqual([tags?.Action, tags?.Principal], [['sts:TagSession'], { AWS: tunnelRole }]);
  });

  test('facts that the document lacks are asked for', () => {
    const without = ssm('sessions: 1').replace(', namespace: shop', '');
    assert.throws(() => trust(without), /add --namespace/);
    assert.equal(trust(without, { namespace: 'shop' }).length, 1);
    assert.throws(() => trust(ssm(irsa)), /add --oidc-issuer/);
    assert.throws(() => trust(ssm('sessions: 1'), { oidcIssuer: issuer }), /add --account/);
    assert.throws(() => trust(ssm(assumed), { role: 'assumed' }), /add --tunnel-role/);
  });

  test('keys of a Secret belong to a user, which needs no trust policy', () => {
    const { complete, printed } = run(ssm('secretRef: { name: aws }'), { trust: true });
    assert.ok(!complete);
    assert.deepEqual(printed, []);
  });
});
