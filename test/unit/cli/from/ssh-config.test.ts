// The person's own ssh_config: hosts, jump hosts, keys and host keys as ssh would find them. ssh's own judgement of the same files:
// test/integration/cli/from/ssh-g.test.ts.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import type { OptionOutcome, Translation } from '../../../../src/cli/from/outcome.ts';
import { translate } from '../../../../src/cli/from/translate.ts';
import { Home } from './home.ts';

const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIA2cqgEa5gyRzjN4tHHVL2gdm9C0oQZhc5KyHJVQ3lTj';

let home: Home;

beforeEach(() => {
  home = new Home();
});
afterEach(() => home[Symbol.dispose]());

const run = (...words: string[]): Translation =>
  translate(['ssh', ...words], { name: undefined, namespace: undefined, keepLocalPorts: false, machine: home.machine });

const ssh = (translation: Translation) =>
  translation.document.spec['ssh'] as {
    user: string;
    bastions: object[];
    jumpHosts?: object[];
    secretRef: object;
    knownHosts?: string;
  };

const outcome = ({ outcomes }: Translation, option: string): OptionOutcome | undefined =>
  outcomes.find((each) => each.option.startsWith(option));

test('a host of the configuration gives name, port, user, key, forwards and jump hosts, each with its line', () => {
  home.write('.ssh/id_jump', 'a key');
  home.write('.ssh/id_orders', 'a key');
  home.write(
    '.ssh/config',
    `Host orders
  HostName bastion.%h.example.com
  Port 2222
  User tunnel
  IdentityFile ~/.ssh/id_%n
  LocalForward 15432 orders.db.internal:5432
  ProxyJump jump

Host jump
  HostName jump.example.com
  User ops
  IdentityFile ~/.ssh/id_jump

Host *
  User nobody
  ServerAliveInterval 30
`,
  );
  const translation = run('-N', 'orders');
  assert.deepEqual(ssh(translation), {
    user: 'tunnel',
    bastions: [{ host: 'bastion.orders.example.com', port: 2222 }],
    jumpHosts: [{ host: 'jump.example.com', user: 'ops', secretRef: { name: 'orders-db-jump' } }],
    secretRef: { name: 'orders-db-ssh' },
  });
  assert.deepEqual(
    translation.secrets.map(({ name, files }) => [name, ...files.values()]),
    [
      ['orders-db-ssh', `${home.path}/.ssh/id_orders`],
      ['orders-db-jump', `${home.path}/.ssh/id_jump`],
    ],
  );
  assert.deepEqual(outcome(translation, 'LocalForward')?.origin, '~/.ssh/config:6');
  assert.deepEqual(outcome(translation, 'ServerAliveInterval 30')?.verdict, 'notNeeded');
  assert.equal(outcome(translation, 'User nobody'), undefined, 'it took no effect');
});

test('a pattern, a negated one, Match and Include choose the lines that count', () => {
  home.write('.ssh/conf.d/10-work', 'Host *.work\n  User included\n');
  home.write(
    '.ssh/config',
    `Include conf.d/*
Host *.work !old.work
  Port 2201
Match host new.work user included
  HostName new.example.com
Match originalhost old.work
  HostName old.example.com
Match all
  Port 2202
`,
  );
  const bastion = (host: string): object => ({
    user: ssh(run('-L', '1:a:1', host)).user,
    ...ssh(run('-L', '1:a:1', host)).bastions[0],
  });
  assert.deepEqual(bastion('new.work'), { user: 'included', host: 'new.example.com', port: 2201 });
  assert.deepEqual(bastion('old.work'), { user: 'included', host: 'old.example.com', port: 2202 });
  assert.deepEqual(bastion('other'), { user: 'ada', host: 'other', port: 2202 });
});

test('nothing that a configuration names is run: each program is named, and a block that asks one is left out', () => {
  const witness = `${home.path}/witness`;
  home.write(
    '.ssh/config',
    `Match exec "touch ${witness}"
  Port 2222
Match host none exec "touch ${witness}"
  Port 2223
Host bastion
  ProxyCommand touch ${witness}
  KnownHostsCommand /usr/bin/touch ${witness}
  PermitLocalCommand yes
  LocalCommand touch ${witness}
`,
  );
  const translation = run('-L', '5432:orders.db:5432', 'bastion');
  assert.deepEqual(ssh(translation).bastions, [{ host: 'bastion' }]);
  for (const option of ['Match', 'ProxyCommand', 'KnownHostsCommand', 'LocalCommand']) {
    assert.equal(outcome(translation, option)?.verdict, 'notPossible', option);
  }
  assert.equal(translation.outcomes.filter(({ option }) => option === 'Match').length, 1, 'the second could not count');
  assert.doesNotMatch(JSON.stringify(translation), /witness/);
  assert.equal(home.machine.exists(witness), false);
});

test('host keys are found under plain, hashed, bracketed and alias names, and stand in the document under the host’s own', () => {
  const salt = Buffer.from('0123456789abcdefghij');
  const hash = createHmac('sha1', salt).update('[bastion.example.com]:2222').digest('base64');
  const other = key.replace('A2cq', 'B2cq');
  home.write(
    '.ssh/known_hosts',
    `|1|${salt.toString('base64')}|${hash} ssh-ed25519 ${key} ada@laptop
other.example.com ssh-ed25519 ${other}
@revoked *.example.com ssh-ed25519 ${other}
jump-key ssh-ed25519 ${key}
@cert-authority *.corp ssh-ed25519 ${key}
`,
  );
  home.write('.ssh/config', 'Host jump.example.com\n  HostKeyAlias jump-key\n');
  const translation = run(
    '-J',
    'jump.example.com',
    '-p',
    '2222',
    '-L',
    '5432:orders.db:5432',
    'ops@bastion.example.com',
  );
  assert.deepEqual(ssh(translation).knownHosts?.trim().split('\n'), [
    `jump.example.com ssh-ed25519 ${key}`,
    `[bastion.example.com]:2222 ssh-ed25519 ${key}`,
    `@revoked [bastion.example.com]:2222 ssh-ed25519 ${other}`,
  ]);
  assert.equal(outcome(translation, 'host key of bastion')?.verdict, 'kept');
  const authority = run('-L', '5432:orders.db:5432', 'ops@a.corp');
  assert.match(outcome(authority, 'host key of a.corp')?.why ?? '', /only a @cert-authority is known here/);
  assert.equal(ssh(authority).knownHosts, undefined);
});

test('one key of several is taken; certificates, passphrases, agents and security keys are told', () => {
  const encrypted = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    Buffer.from([0, 0, 0, 10]),
    Buffer.from('aes256-ctr'),
    Buffer.alloc(40),
  ]);
  home.write(
    '.ssh/id_ed25519',
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${encrypted.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`,
  );
  home.write('.ssh/id_ed25519-cert.pub', 'a certificate');
  const [secret] = run('-L', '1:a:1', 'bastion').secrets;
  assert.deepEqual(Object.fromEntries(secret?.files ?? []), {
    'ssh-privatekey': `${home.path}/.ssh/id_ed25519`,
    'ssh-publickey-cert': `${home.path}/.ssh/id_ed25519-cert.pub`,
    passphrase: 'FILE_WITH_THE_PASSPHRASE',
  });
  home.write('.ssh/id_rsa', 'a key');
  home.write('.ssh/id_ecdsa_sk', 'a key');
  const several = run('-L', '1:a:1', 'bastion');
  assert.equal(several.secrets[0]?.files.get('ssh-privatekey'), `${home.path}/.ssh/id_rsa`, 'the first that ssh tries');
  assert.match(
    outcome(several, '~/.ssh/id_ed25519')?.why ?? '',
    /a Secret holds one key, and ~\/\.ssh\/id_rsa is the first/,
  );
  const agent = run('-i', '~/.ssh/agent.pub', '-i', '~/.ssh/id_ecdsa_sk', '-L', '1:a:1', 'bastion');
  assert.match(outcome(agent, '-i ~/.ssh/agent.pub')?.why ?? '', /it is a public key/);
  assert.match(outcome(agent, '-i ~/.ssh/id_ecdsa_sk')?.why ?? '', /it needs a security key/);
});

test('no content of a key file gets into what is printed', () => {
  home.write('.ssh/id_ed25519', 'KEYCONTENT');
  assert.doesNotMatch(JSON.stringify(run('-L', '1:a:1', 'bastion')), /KEYCONTENT/);
});

test('a line that ssh would refuse is refused with its place', () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ['Host *\n  Nonsense yes\n', /~\/\.ssh\/config:2: ssh has no option Nonsense/],
    ['Port\n', /config:1: Port has no value/],
    ['User "ada\n', /config:1: the quotes of User are not closed/],
    ['Match planet earth\n', /config:1: ssh has no Match planet/],
    ['Match host\n', /config:1: Match host has no value/],
    ['IdentityFile ${NOT_SET_HERE}/id\n', /uses \$\{NOT_SET_HERE\}, which is not set here/],
    ['Include config\n', /more than 16 files include one another/],
  ];
  for (const [text, reason] of refused) {
    home.write('.ssh/config', text);
    assert.throws(() => run('-L', '1:a:1', 'bastion'), reason);
  }
  home.write('.ssh/config', 'IgnoreUnknown Nonsense,Use*\nNonsense yes\nUseMagic yes\n');
  assert.equal(ssh(run('-L', '1:a:1', 'bastion')).user, 'ada');
});

test('a circle of jump hosts ends', () => {
  home.write('.ssh/config', 'Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n');
  assert.throws(() => run('-L', '1:a:1', 'a'), /more than 9 jump hosts, or a circle of them/);
});
