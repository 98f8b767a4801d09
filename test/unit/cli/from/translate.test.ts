// Commands as people type them, each with the document that it becomes and what is lost of it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { judge } from '../../../../src/cli/check.ts';
import { parseDocuments } from '../../../../src/cli/documents.ts';
import type { Translation } from '../../../../src/cli/from/outcome.ts';
import { documentText, secretLines } from '../../../../src/cli/from/print.ts';
import { translate } from '../../../../src/cli/from/translate.ts';
import { effectivePorts } from '../../../../src/contract/api/effective.ts';
import { parsePortForward } from '../../../../src/contract/api/parse.ts';
import { destinationText } from '../../../../src/contract/tunnel-config.ts';
import { Home } from './home.ts';

let home: Home;

before(() => {
  home = new Home();
  home.write('job/ssh_config', 'Host work\n HostName bastion.work.example.com\n User ops\n IdentityFile ~/.ssh/%h\n');
  home.write('.ssh/bastion.pem', 'a key');
  home.write('.aws/config', '[default]\nregion = us-west-2\n[profile prod]\nregion = eu-central-1\nrole_arn = x\n');
  home.write('params.json', '{"host":["orders.db"],"portNumber":["5432"]}');
});

after(() => home[Symbol.dispose]());

/** The words that a shell makes of a line. */
function wordsOf(line: string): string[] {
  // A variable in front is a word for us, not for this shell.
  const text = line.replace(/^(\w+=\S*)/, "'$1'");
  const env = { HOME: home.path, PATH: process.env['PATH'] };
  return execFileSync('bash', ['-c', `printf '%s\\0' ${text}`], { env, encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);
}

const run = (line: string, keepLocalPorts = false): Translation =>
  translate(wordsOf(line), { name: undefined, namespace: undefined, keepLocalPorts, machine: home.machine });

/** `name: port→destination … way`, as the document means it; it must be valid. */
function meaning(translation: Translation): string {
  const [document] = parseDocuments('x', documentText(translation)).documents;
  assert.ok(document);
  assert.deepEqual(judge(document).issues, []);
  const parsed = parsePortForward(document.value);
  assert.ok(parsed.ok);
  const { metadata, spec } = parsed.value;
  const ports = effectivePorts(spec).map(({ port, destination }) => `${port}→${destinationText(destination)}`);
  const { ssh, ssm, fly } = spec;
  const hop = ({ host, port, user = ssh?.user }: { host: string; port: number; user?: string | undefined }) =>
    `${user}@${host}:${port}`;
  const way =
    ssh === undefined
      ? ssm === undefined
        ? `fly ${fly?.app ?? fly?.org}`
        : `ssm ${ssm.region} ${ssm.target.instanceId}`
      : [...(ssh.jumpHosts ?? []), ...ssh.bastions].map(hop).join(' > ');
  return `${metadata.name}: ${ports.join(' ')} by ${way}`;
}

/** Every ssh lacks keys and host keys here; the rest is lost by the command itself. */
const lost = ({ outcomes }: Translation): string =>
  outcomes
    .filter(({ verdict, option }) => verdict === 'notPossible' && !/^(host key|key) (of|for) |^your AWS/.test(option))
    .map(({ option }) => option.replaceAll(home.path, '~'))
    .join(' | ');

const db = '-L 5432:orders.db:5432';
const viaBastion = 'orders-db: 5432→orders.db:5432 by ops@bastion.example.com:22';
const shell = 'ops@bastion.example.com';

const lines: readonly (readonly [line: string, meaning: string, lost?: string])[] = [
  [`ssh ${db} -J jump user@bastion`, 'orders-db: 5432→orders.db:5432 by ada@jump:22 > user@bastion:22'],
  ['ssh -N -L 5432:localhost:5432 user@db.example.com', 'db: 5432→localhost:5432 by user@db.example.com:22'],
  [
    'ssh -fN -L 15432:orders.db.internal:5432 -o ServerAliveInterval=30 -o ServerAliveCountMax=3 tunnel@bastion.example.com',
    'orders-db: 5432→orders.db.internal:5432 by tunnel@bastion.example.com:22',
  ],
  [
    'ssh -i ~/.ssh/bastion.pem -L 3306:mydb.c9akciq32.eu-west-1.rds.amazonaws.com:3306 ec2-user@ec2-1-2-3-4.eu-west-1.compute.amazonaws.com -N',
    'mydb: 3306→mydb.c9akciq32.eu-west-1.rds.amazonaws.com:3306 by ec2-user@ec2-1-2-3-4.eu-west-1.compute.amazonaws.com:22',
  ],
  [
    `ssh -L 127.0.0.1:6379:redis.internal:6379 -p 2222 ${shell}`,
    'redis: 6379→redis.internal:6379 by ops@bastion.example.com:2222',
  ],
  [`ssh -L '*:8080:intranet:80' -g ${shell}`, 'intranet: 80→intranet:80 by ops@bastion.example.com:22'],
  [
    `ssh ${shell} -L 5432:db:5432 -L 6379:cache:6379 -N`,
    'db: 5432→db:5432 6379→cache:6379 by ops@bastion.example.com:22',
  ],
  [
    `ssh -L 5432:db-a:5432 -L 5433:db-b:5432 ${shell}`,
    'db-a: 5432→db-a:5432 5433→db-b:5432 by ops@bastion.example.com:22',
  ],
  [
    'ssh -L 5433:/var/run/postgresql/.s.PGSQL.5432 postgres@db.example.com',
    'db: 5433→/var/run/postgresql/.s.PGSQL.5432 by postgres@db.example.com:22',
  ],
  [`ssh -L /tmp/db.sock:orders.db:5432 ${shell}`, viaBastion],
  [`ssh -L [::1]:5432:[2001:db8::5]:5432 ${shell}`, 'bastion: 5432→[2001:db8::5]:5432 by ops@bastion.example.com:22'],
  [
    `ssh -J ada@jump-a.example.com:2222,jump-b.example.com ${db} ${shell}`,
    'orders-db: 5432→orders.db:5432 by ada@jump-a.example.com:2222 > ada@jump-b.example.com:22 > ops@bastion.example.com:22',
  ],
  [`ssh ${db} ssh://${shell}:2200`, 'orders-db: 5432→orders.db:5432 by ops@bastion.example.com:2200'],
  [`ssh -l ops -p 2200 ${db} bastion.example.com`, 'orders-db: 5432→orders.db:5432 by ops@bastion.example.com:2200'],
  [
    `ssh -o "ProxyCommand ssh -W %h:%p jump.example.com" ${db} ${shell}`,
    'orders-db: 5432→orders.db:5432 by ada@jump.example.com:22 > ops@bastion.example.com:22',
  ],
  [
    `ssh -o ProxyCommand="ssh -q ops@jump.example.com nc %h %p" ${db} ${shell}`,
    'orders-db: 5432→orders.db:5432 by ops@jump.example.com:22 > ops@bastion.example.com:22',
  ],
  [`ssh -o ProxyCommand="nc -X connect -x proxy.example.com:3128 %h %p" ${db} ${shell}`, viaBastion, '-o ProxyCommand'],
  [
    `ssh -o ProxyCommand="sh -c \\"aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p\\"" ${db} ec2-user@i-0abc123`,
    'orders-db: 5432→orders.db:5432 by ec2-user@i-0abc123:22',
    '-o ProxyCommand',
  ],
  [`ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ${db} ${shell}`, viaBastion],
  [`ssh -C -c aes128-gcm@openssh.com ${db} ${shell}`, viaBastion, '-C | -c aes128-gcm@openssh.com'],
  [`ssh -M -S /tmp/ctl -fnNT ${db} ${shell}`, viaBastion],
  [`ssh -4 -q -T -o ExitOnForwardFailure=yes -o ConnectTimeout=5 ${db} ${shell}`, viaBastion, '-4'],
  [`ssh -A -t ${db} ${shell} tmux attach`, viaBastion],
  [`ssh ${db} ${shell} sleep 600`, viaBastion],
  [`ssh -D 1080 ${db} ${shell}`, viaBastion, '-D 1080'],
  [`ssh -R 8080:localhost:80 ${db} ${shell}`, viaBastion, '-R 8080:localhost:80'],
  [`ssh -o IdentitiesOnly=yes -i key_a -i key_b ${db} ${shell}`, viaBastion, '-i key_a | -i key_b'],
  [`ssh -I /usr/lib/opensc-pkcs11.so ${db} ${shell}`, viaBastion, '-I /usr/lib/opensc-pkcs11.so'],
  [`ssh -vvv -E /tmp/log ${db} ${shell}`, viaBastion],
  [
    `ssh -w 0:0 ${db} root@bastion.example.com`,
    'orders-db: 5432→orders.db:5432 by root@bastion.example.com:22',
    '-w 0:0',
  ],
  [`ssh -X ${db} ${shell}`, viaBastion],
  [`ssh -o PreferredAuthentications=password -o PubkeyAuthentication=no ${db} ${shell}`, viaBastion],
  [
    `ssh -o TCPKeepAlive=yes -o Compression=no -L 27017:mongo.internal:27017 ${shell}`,
    'mongo: 27017→mongo.internal:27017 by ops@bastion.example.com:22',
  ],
  [
    `ssh -L5432:orders.db:5432 -p2222 -iid_work ${shell}`,
    'orders-db: 5432→orders.db:5432 by ops@bastion.example.com:2222',
    '-i id_work',
  ],
  ['ssh -NL 5432:orders.db:5432 bastion', 'orders-db: 5432→orders.db:5432 by ada@bastion:22'],
  [
    `ssh -F ~/job/ssh_config ${db} work`,
    'orders-db: 5432→orders.db:5432 by ops@bastion.work.example.com:22',
    'IdentityFile ~/.ssh/%h',
  ],
  [
    `sudo ssh -L 443:intranet.example.com:443 ${shell}`,
    'intranet: 443→intranet.example.com:443 by ops@bastion.example.com:22',
  ],
  [`autossh -M 0 -f -N -o "ServerAliveInterval 30" -o "ServerAliveCountMax 3" ${db} ${shell}`, viaBastion],
  [
    `AUTOSSH_GATETIME=0 autossh -M 20000:20001 -N -L 6379:cache.internal:6379 ${shell}`,
    'cache: 6379→cache.internal:6379 by ops@bastion.example.com:22',
  ],
  [`sshpass -p hunter2 ssh -N ${db} ${shell}`, viaBastion, 'sshpass'],
  [`sshpass -f /run/pw ssh -N ${db} ${shell}`, viaBastion, 'sshpass'],
  [
    `aws ssm start-session --target i-0abc123 --document-name AWS-StartPortForwardingSession --parameters '{"portNumber":["5432"],"localPortNumber":["15432"]}' --region eu-west-1`,
    'i-0abc123: 5432→localhost:5432 by ssm eu-west-1 i-0abc123',
  ],
  [
    `aws ssm start-session --target i-0abc123 --document-name AWS-StartPortForwardingSessionToRemoteHost --parameters '{"host":["orders.c9ak.eu-west-1.rds.amazonaws.com"],"portNumber":["5432"], "localPortNumber":["5432"]}' --region eu-west-1 --profile prod`,
    'orders: 5432→orders.c9ak.eu-west-1.rds.amazonaws.com:5432 by ssm eu-west-1 i-0abc123',
    '--profile prod',
  ],
  [
    'aws ssm start-session --region eu-west-1 --target mi-0abc123 --document-name AWS-StartPortForwardingSessionToRemoteHost --parameters host="orders.db",portNumber="3306",localPortNumber="13306"',
    'orders-db: 3306→orders.db:3306 by ssm eu-west-1 mi-0abc123',
  ],
  [
    'aws --profile prod ssm start-session --target i-0abc123 --document-name AWS-StartPortForwardingSession --parameters portNumber=80,localPortNumber=8080',
    'i-0abc123: 80→localhost:80 by ssm eu-central-1 i-0abc123',
    '--profile prod',
  ],
  [
    'aws ssm start-session --region=us-east-1 --target=i-0abc123 --document-name=AWS-StartPortForwardingSession --parameters=portNumber=[3389],localPortNumber=[56789]',
    'i-0abc123: 3389→localhost:3389 by ssm us-east-1 i-0abc123',
  ],
  [
    'AWS_PROFILE=prod aws ssm start-session --target i-0abc123 --document-name AWS-StartPortForwardingSessionToRemoteHost --parameters file://~/params.json',
    'orders-db: 5432→orders.db:5432 by ssm eu-central-1 i-0abc123',
    '--profile prod',
  ],
  [
    'aws ssm start-session --region eu-west-1 --target i-0abc123 --document-name AWS-StartPortForwardingSession --parameters "portNumber=5432" --reason "ticket 7"',
    'i-0abc123: 5432→localhost:5432 by ssm eu-west-1 i-0abc123',
    '--reason ticket 7',
  ],
  ['flyctl proxy 15432:5432 -a orders-db', 'orders-db: 5432→orders-db.internal:5432 by fly orders-db'],
  ['fly proxy 5432 --app orders-db', 'orders-db: 5432→orders-db.internal:5432 by fly orders-db'],
  [
    'fly proxy 15432:5432 orders-db.internal -a orders-db -b 0.0.0.0',
    'orders-db: 5432→orders-db.internal:5432 by fly orders-db',
  ],
  ['flyctl proxy 16379:6379 fdaa:0:18:a7b::2 --org shop-inc', 'shop-inc: 6379→[fdaa:0:18:a7b::2]:6379 by fly shop-inc'],
  [
    'fly proxy 5433:5433 -a orders-db -t FlyV1secret --watch-stdin',
    'orders-db: 5433→orders-db.internal:5433 by fly orders-db',
    '--access-token',
  ],
];

for (const [line, expected, expectedLost = ''] of lines) {
  test(line, () => {
    const translation = run(line);
    assert.equal(meaning(translation), expected);
    assert.equal(lost(translation), expectedLost);
    assert.doesNotMatch(JSON.stringify(translation), /hunter2|FlyV1secret/, 'a password or token is repeated');
  });
}

test('there are at least fifty lines', () => assert.ok(lines.length >= 50, String(lines.length)));

/** Commands that make no document, each with the reason. */
const refused: readonly (readonly [line: string, reason: RegExp])[] = [
  ['ssh ops@bastion.example.com', /this ssh forwards nothing: add -L/],
  [
    'ssh -D 1080 ops@bastion.example.com',
    /-D 1080: a SOCKS proxy would reach everything: name each destination with -L/,
  ],
  ['ssh -R 8080:localhost:80 ops@bastion.example.com', /a tunnel leads from the cluster to the private network only/],
  ['ssh -L 5432:orders.db ops@bastion.example.com', /-L 5432:orders\.db: a forward is written as port:host:port/],
  ['ssh -L /tmp/a.sock:/run/b.sock ops@bastion.example.com', /a Service has ports, not sockets: give a local port/],
  ['ssh -Z -L 5432:orders.db:5432 ops@bastion.example.com', /ssh has no option -Z/],
  ['ssh -o Nonsense=yes -L 5432:orders.db:5432 ops@bastion.example.com', /ssh -o has no option Nonsense/],
  ['ssh -o Port -L 5432:orders.db:5432 ops@bastion.example.com', /ssh -o Port has no value/],
  ['ssh -L 5432:orders.db:5432', /ssh needs a host/],
  ['ssh -L', /ssh -L has no value/],
  ['ssh -p 99999 -L 5432:orders.db:5432 ops@bastion.example.com', /99999: a port is a number from 1 to 65535/],
  ['ssh -O check -L 5432:orders.db:5432 ops@bastion.example.com', /ssh -O controls an ssh that runs already/],
  ['ssh -F nowhere -L 5432:orders.db:5432 ops@bastion.example.com', /cannot read nowhere, which -F names/],
  ['autossh -Z ops@bastion.example.com', /autossh has no option -Z/],
  ['sshpass -p hunter2 scp a b', /sshpass scp: only ssh opens a tunnel/],
  ['aws ssm start-session --target i-0abc123', /without --document-name it opens a shell/],
  ['aws ssm start-session --target i-0 --document-name AWS-StartSSHSession', /AWS-StartSSHSession forwards no port/],
  ['aws s3 ls', /aws s3 ls: only aws ssm start-session opens a tunnel/],
  ['aws ssm start-session --nonsense', /the option --nonsense is not known here/],
  [
    'aws ssm start-session --target ecs:c_t_r --region eu-west-1 --document-name AWS-StartPortForwardingSession --parameters portNumber=80',
    /names one task, .* spec\.ssm\.target\.ecsTask/,
  ],
  [
    'aws ssm start-session --target i-0 --region eu-west-1 --document-name AWS-StartPortForwardingSessionToRemoteHost --parameters portNumber=80',
    /needs host/,
  ],
  [
    'aws ssm start-session --target i-0 --region eu-west-1 --document-name AWS-StartPortForwardingSession --parameters {"portNumber":',
    /--parameters is not JSON/,
  ],
  [
    'aws ssm start-session --target i-0 --region eu-west-1 --document-name AWS-StartPortForwardingSession --parameters portNumber=80,81',
    /portNumber has 2 values/,
  ],
  [
    'aws ssm start-session --target i-0 --region eu-west-1 --document-name AWS-StartPortForwardingSession --parameters portNumber=0',
    /portNumber is 0, which is no port/,
  ],
  ['fly proxy', /the ports are missing: write local:remote/],
  ['fly proxy 5432', /the app is not known: add --app/],
  ['fly ssh console', /fly ssh: only fly proxy opens a tunnel to a port/],
  ['fly proxy 5432 -a x --nonsense', /the option --nonsense is not known here/],
  ['kubectl -n shop port-forward svc/orders-db 15432:5432', /leads to svc\/orders-db, which is in the cluster already/],
  ['kubectl get pods', /kubectl get: only commands that open a tunnel are understood/],
  ['plink -L 1:a:1 b', /plink is not understood/],
];

for (const [line, reason] of refused) {
  test(`refused: ${line}`, () => {
    assert.throws(
      () => run(line),
      (error: unknown) => error instanceof Error && error.name === 'UsageError' && reason.test(error.message),
    );
  });
}

test('the local port stays with --keep-local-ports, and else is told', () => {
  const line = `ssh -L 15432:orders.db:5432 ${shell}`;
  assert.deepEqual(run(line, true).document.spec.ports, [
    { port: 15432, name: 'postgres', destinationHost: 'orders.db', destinationPort: 5432, appProtocol: 'postgresql' },
  ]);
  const { outcomes, localPorts } = run(line);
  assert.match(
    outcomes[0]?.why ?? '',
    /port 5432 of the Service, .*; 15432 was free on this machine only \(--keep-local-ports/,
  );
  assert.deepEqual([...localPorts], [[5432, 15432]]);
});

test('two destinations with the same port: the second keeps its local port, and a third without one is lost', () => {
  const { document, outcomes } = run(`ssh -L 1:a:5432 -L 2:b:5432 -L /tmp/s:c:5432 ${shell}`);
  assert.deepEqual(
    document.spec.ports.map(({ port, destinationHost }) => [port, destinationHost]),
    [
      [5432, 'a'],
      [2, 'b'],
    ],
  );
  assert.match(outcomes[2]?.why ?? '', /port 5432 of the Service is taken by another forward/);
});

test('the Secret’s command names each file, quoted for the shell, and a token by the command that makes it', () => {
  home.write('my keys/id', 'a key');
  const ssh = run(`ssh -i "${home.path}/my keys/id" ${db} ${shell}`);
  assert.deepEqual(secretLines(ssh.secrets, 'shop', ' --context=prod'), [
    `kubectl --context=prod -n shop create secret generic orders-db-ssh --from-file=ssh-privatekey='${home.path}/my keys/id'`,
  ]);
  assert.deepEqual(secretLines(run('fly proxy 5432 -a orders-db').secrets, undefined), [
    'kubectl create secret generic orders-db-fly --from-literal=FLY_API_TOKEN="$(fly tokens create deploy --app orders-db)"',
  ]);
});
