// Some fifty files in which people keep a private key: what `ssh` logs in with, the tunnel logs in with, and what `ssh` refuses, it refuses.
// Neighbours: through-ssh.ts runs both, same-as-ssh-options.test.ts does the same for the settings of a bastion.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { command } from '../../../lab/process/command.ts';
import { echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { type Login, throughSsh, throughUs } from './through-ssh.ts';

interface KeyFile {
  readonly name: string;
  readonly text: string;
  readonly passphrase?: string;
  /** Where the two differ on purpose: what the tunnel makes of it. */
  readonly differs?: RegExp | 'carried';
}

const secretWord = 'correct horse';

describe('the key files that ssh takes', { timeout: 300_000 }, () => {
  let sshd: Sshd;
  let service: Service;
  const files: KeyFile[] = [];
  before(async () => {
    sshd = await startSshd({ config: ['PubkeyAcceptedAlgorithms +ssh-rsa,ssh-dss', 'MaxStartups 100'] });
    service = await serve(echo);
    const keys = new Keys(sshd.directory);
    files.push(
      ...(await keys.made()),
      ...(await keys.encrypted()),
      ...(await keys.amidOtherText()),
      ...(await keys.broken()),
    );
    sshd.authorize(keys.publicKeys);
  });
  after(async () => {
    await sshd.stop();
    await service.stop();
  });

  test('are taken by the tunnel, and what ssh refuses is refused', async (t) => {
    const knownHosts = sshd.knownHosts();
    const different: string[] = [];
    const outcomes = new Map<string, number>();
    const waiting = [...files];
    const worker = async (): Promise<void> => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        const { name, text: privateKey, passphrase, differs } = file;
        const login: Login = { bastion: sshd, knownHosts, echoPort: service.port, privateKey, passphrase };
        const [theirs, ours] = await Promise.all([throughSsh(login), throughUs(login)]);
        outcomes.set(ours.outcome, (outcomes.get(ours.outcome) ?? 0) + 1);
        if (differs !== undefined) {
          assert.notEqual(ours.outcome, theirs.outcome, name);
          if (differs === 'carried') assert.equal(ours.outcome, differs, name);
          else assert.match(ours.said, differs);
        } else if (theirs.outcome !== ours.outcome) {
          different.push(`${name}: ssh ${theirs.outcome} (${theirs.said}), the tunnel ${ours.outcome} (${ours.said})`);
        }
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    assert.deepEqual(different, []);
    t.diagnostic(`${files.length} files: ${[...outcomes].map(([what, count]) => `${count} ${what}`).join(', ')}`);
    assert.ok((outcomes.get('carried') ?? 0) >= 30 && (outcomes.get('no login') ?? 0) >= 10, 'both kinds are there');
  });
});

/** Key files in one directory, and what the bastion must know of them. */
class Keys {
  readonly publicKeys: string[] = [];
  readonly #directory: string;
  #count = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async #made(
    words: readonly string[],
    passphrase = '',
  ): Promise<{ readonly text: string; readonly publicKey: string }> {
    this.#count += 1;
    const file = join(this.#directory, `key-${this.#count}`);
    await command('ssh-keygen', ['-q', ...words, '-N', passphrase, '-C', 'tunnel', '-f', file]);
    const publicKey = readFileSync(`${file}.pub`, 'utf8').trim();
    this.publicKeys.push(publicKey);
    return { text: readFileSync(file, 'utf8'), publicKey };
  }

  async #openssl(words: readonly string[], input: string): Promise<string> {
    return await command('openssl', words, { input });
  }

  /** Types and formats of ssh-keygen. */
  async made(): Promise<KeyFile[]> {
    const rsa = ['-t', 'rsa', '-b', '2048'];
    const curves = ['256', '384', '521'].map((bits) => ['-t', 'ecdsa', '-b', bits]);
    const kinds = [['-t', 'ed25519'], rsa, ...curves];
    const formats = [[], ['-m', 'PEM'], ['-m', 'PKCS8']];
    const words = kinds.flatMap((kind) => formats.map((format) => [...kind, ...format]));
    const all = [...words, ['-t', 'rsa', '-b', '1024'], ['-t', 'rsa', '-b', '3072'], ['-t', 'dsa']];
    return await Promise.all(all.map(async (one) => ({ name: one.join(' '), text: (await this.#made(one)).text })));
  }

  /** With the right passphrase, a wrong one, and none. */
  async encrypted(): Promise<KeyFile[]> {
    const few = ['-a', '2'];
    const made = [
      ['-t', 'ed25519', ...few],
      ['-t', 'rsa', '-b', '2048', ...few],
      ['-t', 'rsa', '-b', '2048', '-m', 'PEM'],
      ['-t', 'rsa', '-b', '2048', '-m', 'PKCS8'],
      ['-t', 'ecdsa', '-m', 'PEM'],
      ['-t', 'ecdsa', '-m', 'PKCS8'],
      ...['aes128-ctr', 'aes256-cbc', 'aes256-gcm@openssh.com', '3des-cbc'].map((cipher) => [
        '-t',
        'ed25519',
        ...few,
        '-Z',
        cipher,
      ]),
    ];
    const chacha = await this.#made(['-t', 'ed25519', ...few, '-Z', 'chacha20-poly1305@openssh.com'], secretWord);
    const files = await Promise.all(
      made.map(async (one) => ({ name: one.join(' '), text: (await this.#made(one, secretWord)).text })),
    );
    const plain = (await this.#made(['-t', 'rsa', '-b', '2048', '-m', 'PEM'])).text;
    const traditional = ['rsa', '-traditional', '-passout', `pass:${secretWord}`];
    const pkcs8 = ['pkcs8', '-topk8', '-passout', `pass:${secretWord}`];
    for (const words of [
      [...traditional, '-aes256'],
      [...traditional, '-des3'],
      [...pkcs8, '-scrypt'],
      [...pkcs8, '-v2', 'des3'],
    ]) {
      files.push({ name: words.join(' '), text: await this.#openssl(words, plain) });
    }
    const [first, , pem] = files;
    return [
      ...files.map((file) => ({ ...file, passphrase: secretWord })),
      { name: 'chacha20', text: chacha.text, passphrase: secretWord, differs: /is encrypted with chacha20-poly1305/ },
      ...[first, pem].flatMap((file) =>
        file === undefined
          ? []
          : [
              { name: `${file.name}, a wrong passphrase`, text: file.text, passphrase: 'wrong battery' },
              { name: `${file.name}, no passphrase`, text: file.text },
            ],
      ),
    ];
  }

  /** As editors, templates and other tools leave it. */
  async amidOtherText(): Promise<KeyFile[]> {
    const [ed, rsa, ec] = await Promise.all([
      this.#made(['-t', 'ed25519']),
      this.#made(['-t', 'rsa', '-b', '2048', '-m', 'PEM']),
      this.#made(['-t', 'ecdsa', '-m', 'PEM']),
    ]);
    const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
    const pkcs8 = await this.#openssl(['pkcs8', '-topk8', '-nocrypt'], rsa.text);
    return [
      { name: 'parameters before it', text: parameters + ec.text },
      { name: 'its public key behind it', text: `${ed.text}${ed.publicKey}\n` },
      { name: 'its public key behind a PEM', text: `${rsa.text}${rsa.publicKey}\n` },
      { name: 'bag attributes before it', text: `Bag Attributes\n    friendlyName: tunnel\n${pkcs8}` },
      { name: 'a comment before a PEM', text: `# the tunnel's key\n${rsa.text}` },
      { name: 'two keys', text: rsa.text + ec.text },
      { name: 'Windows line ends', text: rsa.text.replaceAll('\n', '\r\n') },
      // In a PEM they do no harm to ssh, in its own format they do. Here neither.
      { name: 'Windows line ends, OpenSSH format', text: ed.text.replaceAll('\n', '\r\n'), differs: 'carried' },
      { name: 'no line end at the end', text: rsa.text.trimEnd() },
      { name: 'an empty line behind it', text: `${ed.text}\n` },
    ];
  }

  /** What cannot be used. */
  async broken(): Promise<KeyFile[]> {
    const { text, publicKey } = await this.#made(['-t', 'rsa', '-b', '2048', '-m', 'PEM']);
    const ed = await this.#made(['-t', 'ed25519']);
    const stranger = await this.#made(['-t', 'ed25519']);
    this.publicKeys.pop();
    return [
      { name: 'a backslash and an n for each line end', text: text.replaceAll('\n', '\\n') },
      { name: 'blanks for line ends', text: text.replaceAll('\n', ' ') },
      { name: 'base64 of a key', text: Buffer.from(text).toString('base64') },
      { name: 'UTF-16', text: Buffer.from(text, 'utf16le').toString('latin1') },
      { name: 'cut off', text: text.slice(0, text.length / 2) },
      { name: 'cut off, OpenSSH format', text: ed.text.slice(0, ed.text.length / 2) },
      { name: 'a public key', text: `${publicKey}\n` },
      { name: 'a key that is not authorized', text: stranger.text },
      { name: 'some text', text: 'this is not a key\n' },
      { name: 'nothing between the lines', text: '-----BEGIN RSA PRIVATE KEY-----\n-----END RSA PRIVATE KEY-----\n' },
      { name: 'one character changed', text: text.replace(/(?<=.{300})[a-z]/s, 'A') },
    ];
  }
}
