// Our reading of ssh_config beside ssh's own: `ssh -G` prints what it would use, for configurations written by hand and for some made by
// chance, the same in every run. Neighbour: test/unit/cli/from/ssh-config.test.ts.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import { command } from '../../../../lab/process/command.ts';
import { thisMachine } from '../../../../src/cli/from/machine.ts';
import type { ConfigSources } from '../../../../src/cli/from/ssh-config.ts';
import { hopOf } from '../../../../src/cli/from/ssh-hops.ts';
import { parseSsh } from '../../../../src/cli/from/ssh-options.ts';
import { parseForward, parseHost } from '../../../../src/cli/from/ssh-words.ts';

let folder: string;

suite('ssh -G', () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'portforward-ssh-g-'));
    // ssh leaves out an identity of the command line that does not exist.
    for (const name of ['key_a', 'key_b']) writeFileSync(join(folder, name), '');
    writeFileSync(join(folder, 'included'), 'Host b* *.example.com\n  User included\n  IdentityFile ~/.ssh/included\n');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('written by hand', async () => {
    for (const [config, ...words] of byHand()) await compare(config, words);
  });

  test('made by chance', { timeout: 240_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(configurations, calls, async (config, words) => await compare(config, words)),
      { numRuns: 200, seed: 20261130, endOnFailure: true },
    );
  });
});

/** What both say of one call. */
interface Said {
  readonly hostname: string;
  readonly user: string;
  readonly port: string;
  readonly proxyjump: string | undefined;
  readonly identityfile: readonly string[];
  readonly localforward: readonly string[];
  readonly hostkeyalias: string | undefined;
  readonly connecttimeout: string;
}

async function compare(config: string, words: readonly string[]): Promise<void> {
  const file = join(folder, 'config');
  writeFileSync(file, config);
  const theirs = await sshSays(['-F', file, ...words]);
  assert.deepEqual(weSay(['-F', file, ...words]), theirs, `${config}\n${words.join(' ')}`);
}

async function sshSays(words: readonly string[]): Promise<Said> {
  const lines = (await command('ssh', ['-G', ...words])).split('\n');
  const all = (keyword: string): string[] =>
    lines.filter((line) => line.startsWith(`${keyword} `)).map((line) => line.slice(keyword.length + 1));
  return {
    hostname: all('hostname')[0] ?? '',
    user: all('user')[0] ?? '',
    port: all('port')[0] ?? '',
    proxyjump: all('proxyjump')[0],
    identityfile: all('identityfile').filter((path) => !defaults.has(path)),
    localforward: all('localforward'),
    hostkeyalias: all('hostkeyalias')[0],
    connecttimeout: all('connecttimeout')[0] ?? 'none',
  };
}

/** ssh prints these where a configuration names none. */
const defaults = new Set(
  ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk', 'id_xmss', 'id_dsa'].map(
    (name) => `~/.ssh/${name}`,
  ),
);

function weSay(words: readonly string[]): Said {
  const { destination, settings, configFile } = parseSsh(words, 'ssh');
  const sources: ConfigSources = { commandLine: settings, file: configFile, machine: thisMachine() };
  const word = parseHost(destination, false);
  assert.ok(word);
  const hop = hopOf(word, sources);
  const value = (keyword: string): string | undefined => hop.settings.first(keyword)?.words[0];
  const jump = value('ProxyJump');
  return {
    hostname: hop.host,
    user: hop.user,
    port: String(hop.port),
    proxyjump: jump === 'none' ? undefined : jump,
    identityfile: hop.settings.all('IdentityFile').map(({ words: [path = ''] }) => path),
    localforward: hop.settings.all('LocalForward').map(({ words: each }) => forwardText(each.join(':'))),
    hostkeyalias: value('HostKeyAlias'),
    connecttimeout: value('ConnectTimeout') ?? 'none',
  };
}

/** As `ssh -G` writes it. */
function forwardText(text: string): string {
  const forward = parseForward(text);
  assert.ok(forward, text);
  const { bind, local, remote } = forward;
  const from = 'socket' in local ? local.socket : bind === undefined ? String(local.port) : `[${bind}]:${local.port}`;
  return `${from} ${'socket' in remote ? remote.socket : `[${remote.host}]:${remote.port}`}`;
}

/** Configuration and call. */
const byHand = (): (readonly [string, ...string[]])[] => [
  ['', 'bastion'],
  ['', '-p', '2222', '-l', 'ops', 'bastion'],
  ['', 'ssh://ops@bastion:2222'],
  ['', 'ops@Bastion.Example.COM'],
  ['Host bastion\nHostName %h.example.com\nPort 2222\nUser "ops"\n', 'bastion'],
  ['Host bastion\n\tPort=2222\n\tUser = ops\nHost *\n Port 3\n User no\n', 'bastion'],
  ['Host bas*ion !bastion\n Port 2\nHost ba?tion\n Port 3\n', 'bastion'],
  ['Host "bastion"\n Port 2\n', 'bastion'],
  ['Host a b\n Port 2\nHost bastion # a comment\n User x # another\n', 'bastion'],
  ['IdentityFile ~/a\nHost bastion\n IdentityFile ~/b\n IdentityFile ~/a\nHost *\n IdentityFile "~/c d"\n', 'bastion'],
  ['IdentityFile ~/a\n', '-i', join(folder, 'key_a'), '-i', join(folder, 'key_b'), 'bastion'],
  ['LocalForward 1 a:2\nLocalForward *:3 b:4\nLocalForward [::1]:5 [::2]:6\nLocalForward 7 /run/x.sock\n', 'bastion'],
  ['LocalForward 1 a:2\nLocalForward 1 a:2\n', '-L', '9:c:8', '-L', '/tmp/s:d:7', '-L', '127.0.0.1:5:e:6', 'bastion'],
  ['Host bastion\n ProxyJump ops@jump:2222,other\n', 'bastion'],
  ['ProxyJump jump\n', '-J', 'mine', 'bastion'],
  ['Host bastion\n ProxyJump none\nHost *\n ProxyJump jump\n', 'bastion'],
  ['Host bastion\n ProxyCommand nc %h %p\nHost *\n ProxyJump jump\n', 'bastion'],
  ['Host bastion\n ProxyJump jump\nHost *\n ProxyCommand nc %h %p\n', 'bastion'],
  [`Include ${join(folder, 'included')}\nHost *\n User after\n`, 'bastion'],
  [`Host bastion\n Include ${join(folder, 'included')}\n Port 7\n`, 'bastion'],
  [`Host other\n Include ${join(folder, 'included')}\nHost *\n Port 7\n`, 'bastion'],
  [`Include ${join(folder, 'incl*')} ${join(folder, 'none')}\n`, 'x.example.com'],
  ['Match host bastion\n Port 2\nMatch all\n Port 3\n', 'bastion'],
  ['Host bastion\n HostName real\nMatch host bastion\n Port 2\nMatch originalhost bastion\n Port 3\n', 'bastion'],
  ['Host bastion\n HostName real\nMatch host real\n Port 2\n', 'bastion'],
  ['Match user ops\n Port 2\n', 'ops@bastion'],
  ['User ops\nMatch user ops\n Port 2\n', 'bastion'],
  [`Match localuser ${userInfo().username}\n Port 2\nMatch !localuser x\n User y\n`, 'bastion'],
  ['Match !host bastion\n Port 2\nMatch host a,b*,!c user *\n Port 3\n', 'bastion'],
  ['Match final host real\n Port 2\nHost bastion\n HostName real\n', 'bastion'],
  ['Match canonical\n Port 2\n', 'bastion'],
  ['Match final all\n User last\nIdentityFile ~/a\nLocalForward 1 a:2\n', 'bastion'],
  ['HostKeyAlias other\nConnectTimeout 7\n', 'bastion'],
  ['IgnoreUnknown Use*\nUseMagic yes\nPort 2\n', 'bastion'],
  ['Port 2\n', '-o', 'Port=3', '-o', 'User ops', '-o', 'identityfile=~/k', 'bastion'],
  ['User file\n', '-o', 'User=first', '-l', 'second', 'third@bastion'],
];

const hosts = ['bastion', 'b', 'jump', 'x.example.com', 'a.b.example.com'];
const patterns = ['*', 'b*', '?astion', '*.example.com', '!jump', 'bastion', 'a.*', '*a*', 'none'];
const patternList = fc.subarray(patterns, { minLength: 1, maxLength: 3 });

const line = fc.oneof(
  fc
    .tuple(fc.constantFrom('Port', 'port', 'PORT='), fc.constantFrom('22', '2222', '443'))
    .map((words) => words.join(' ')),
  fc
    .tuple(fc.constantFrom('User', 'USER', 'user ='), fc.constantFrom('ops', '"ada"', 'tunnel # x'))
    .map((words) => words.join(' ')),
  fc.constantFrom(
    'HostName %h.internal',
    'HostName Real.Example.com',
    'HostName 192.0.2.7',
    'HostKeyAlias k',
    'ConnectTimeout 9',
  ),
  fc.constantFrom(
    'IdentityFile ~/.ssh/a',
    'IdentityFile "~/.ssh/b c"',
    'IdentityFile /x/%h/%r',
    'IdentityFile=~/.ssh/a',
  ),
  fc.constantFrom('LocalForward 1 a:2', 'LocalForward 127.0.0.1:1 a:2', 'LocalForward 8 /run/s', 'LocalForward 1 a:2'),
  fc.constantFrom(
    'ProxyJump hop',
    'ProxyJump ops@hop:2222',
    'ProxyJump none',
    'ProxyCommand nc %h %p',
    'ProxyCommand none',
  ),
);

const opening = fc.oneof(
  patternList.map((list) => `Host ${list.join(' ')}`),
  patternList.map((list) => `Match host ${list.join(',')}`),
  patternList.map((list) => `Match originalhost ${list.join(',')} user ops,ada`),
  fc.constantFrom(
    'Match all',
    'Match final',
    'Match final host real.example.com',
    'Match !final user tunnel',
    'Match !user ops',
  ),
);

const configurations = fc
  .tuple(
    fc.array(line, { maxLength: 3 }),
    fc.array(fc.tuple(opening, fc.array(line, { maxLength: 4 })), { maxLength: 5 }),
  )
  .map(([first, blocks]) =>
    [...first, ...blocks.flatMap(([head, lines]) => [head, ...lines.map((each) => `  ${each}`)])].join('\n'),
  )
  .map((text) => `${text}\n`);

const calls = fc
  .tuple(
    fc.subarray(['-p 2200', '-l ops', '-o User=o', '-i KEY', '-L 3:c:4', '-J j:5'], { maxLength: 3 }),
    fc.constantFrom('', 'root@'),
    fc.constantFrom(...hosts),
  )
  .map(([options, user, host]) => [
    ...options.flatMap((each) => each.split(' ')).map((each) => (each === 'KEY' ? join(folder, 'key_a') : each)),
    `${user}${host}`,
  ]);
