// Settings of a bastion, options of a key in authorized_keys, and certificates: where `ssh` is let in and may forward, the tunnel is and may.
// Neighbours: through-ssh.ts runs both, same-as-ssh-keys.test.ts does the same for files of keys.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { generateKey, type KeyPair, type Sshd, startSshd } from '../../../lab/private-network/sshd.ts';
import { command } from '../../../lab/process/command.ts';
import { echo, type Service, serve } from '../../driver-suite/destinations.ts';
import { type Outcome, throughSsh, throughUs } from './through-ssh.ts';

describe('what a bastion permits', { timeout: 300_000 }, () => {
  let sshd: Sshd;
  let service: Service;
  let authority: KeyPair;
  const keys = new Map<string, KeyPair>();
  const pair = (name: string): KeyPair => keys.get(name) ?? assert.fail(name);
  before(async () => {
    sshd = await startSshd();
    service = await serve(echo);
    authority = await generateKey(sshd.directory, { name: 'authority' });
    for (const type of ['ed25519', 'rsa', 'ecdsa'] as const)
      keys.set(type, await generateKey(sshd.directory, { type }));
  });
  after(async () => {
    await sshd.stop();
    await service.stop();
  });

  interface Case {
    readonly config?: readonly string[];
    /** Before the key in authorized_keys. */
    readonly options?: string;
    readonly key?: 'ed25519' | 'rsa' | 'ecdsa';
    /** Words for ssh-keygen: the key is not authorized, but a certificate of it is signed. */
    readonly certificate?: readonly string[];
    readonly knownTypes?: Parameters<Sshd['knownHosts']>[0];
  }

  async function compare({
    config = [],
    options = '',
    key = 'ed25519',
    certificate,
    knownTypes,
  }: Case): Promise<Outcome> {
    const { file, publicKey, privateKey } = pair(key);
    const trusts = certificate === undefined ? [] : [`TrustedUserCAKeys ${authority.file}.pub`];
    await sshd.configure([...config.map((line) => line.replaceAll('ECHO', `${service.port}`)), ...trusts]);
    sshd.authorize(
      certificate === undefined ? [`${options.replaceAll('ECHO', `${service.port}`)} ${publicKey}`.trim()] : [],
    );
    const login = {
      bastion: sshd,
      knownHosts: sshd.knownHosts(knownTypes),
      echoPort: service.port,
      privateKey,
      certificate: certificate === undefined ? undefined : await signed(file, certificate),
    };
    const theirs = await throughSsh(login);
    const ours = await throughUs(login);
    assert.equal(ours.outcome, theirs.outcome, `ssh: ${theirs.said}\nthe tunnel: ${ours.said}`);
    return ours.outcome;
  }

  async function signed(file: string, words: readonly string[]): Promise<string> {
    await command('ssh-keygen', ['-q', '-s', authority.file, '-I', 'test', ...words, `${file}.pub`]);
    return readFileSync(`${file}-cert.pub`, 'utf8');
  }

  const cases: Readonly<Record<Outcome, Readonly<Record<string, Case>>>> = {
    carried: {
      'the options of docs/bastion.md': { options: 'restrict,port-forwarding,permitopen="127.0.0.1:ECHO"' },
      'a command that is forced': { options: 'command="/bin/false"' },
      'an address that is ours': { options: 'from="127.0.0.1"' },
      'no shell by MaxSessions': { config: ['MaxSessions 0'] },
      'no shell by ForceCommand': { config: ['ForceCommand /bin/false', 'PermitTTY no'] },
      'one attempt': { config: ['MaxAuthTries 1'] },
      'a banner': { config: ['Banner /etc/hostname'] },
      'forwarding one way': { config: ['AllowTcpForwarding local'] },
      'the right destination': { config: ['PermitOpen 127.0.0.1:ECHO'] },
      'RSA by SHA-512 alone': { config: ['PubkeyAcceptedAlgorithms rsa-sha2-512'], key: 'rsa' },
      ECDSA: { key: 'ecdsa' },
      'one key exchange': { config: ['KexAlgorithms ecdh-sha2-nistp521'] },
      'one cipher': { config: ['Ciphers aes256-gcm@openssh.com'] },
      'an RSA host key': { config: ['HostKeyAlgorithms rsa-sha2-256'], knownTypes: { types: ['rsa'] } },
      'the last known host key': { knownTypes: { types: ['ecdsa'] } },
      'a certificate': { certificate: ['-n', 'tunnel'] },
      'a certificate of an RSA key': { certificate: ['-n', 'tunnel'], key: 'rsa' },
      'a certificate for everybody that is named': { certificate: ['-n', 'somebody,tunnel'] },
      'a certificate of our address': { certificate: ['-n', 'tunnel', '-O', 'source-address=127.0.0.0/8'] },
      'a certificate with a forced command': { certificate: ['-n', 'tunnel', '-O', 'force-command=/bin/false'] },
      'a certificate with nothing but forwarding': {
        certificate: ['-n', 'tunnel', '-O', 'clear', '-O', 'permit-port-forwarding'],
      },
    },
    'no forwarding': {
      'restrict alone': { options: 'restrict' },
      'no-port-forwarding': { options: 'no-port-forwarding' },
      'permitopen of another port': { options: 'permitopen="127.0.0.1:1"' },
      'permitopen by another name': { options: 'permitopen="localhost:ECHO"' },
      DisableForwarding: { config: ['DisableForwarding yes'] },
      'forwarding the other way': { config: ['AllowTcpForwarding remote'] },
      'PermitOpen none': { config: ['PermitOpen none'] },
      'a certificate without forwarding': { certificate: ['-n', 'tunnel', '-O', 'no-port-forwarding'] },
    },
    'no login': {
      'an address that is not ours': { options: 'from="192.0.2.1"' },
      'a key that has expired': { options: 'expiry-time="20200101"' },
      'a key that is an authority': { options: 'cert-authority' },
      'another user': { config: ['DenyUsers tunnel'] },
      'RSA keys that are too small': {
        config: ['RequiredRSASize 4096'],
        key: 'rsa',
        knownTypes: { types: ['ed25519'] },
      },
      'no such type of key': { config: ['PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256'] },
      'two keys': { config: ['AuthenticationMethods publickey,publickey'] },
      'no keys': { config: ['PubkeyAuthentication no'] },
      'an unknown type of host key': { config: ['HostKeyAlgorithms ssh-ed25519'], knownTypes: { types: ['rsa'] } },
      'a host that is unknown': { knownTypes: { name: 'somewhere.else' } },
      'a certificate that has expired': { certificate: ['-n', 'tunnel', '-V', '20200101:20200201'] },
      'a certificate that is not valid yet': { certificate: ['-n', 'tunnel', '-V', '+1d:+2d'] },
      'a certificate of another user': { certificate: ['-n', 'somebody'] },
      'a certificate of another address': { certificate: ['-n', 'tunnel', '-O', 'source-address=192.0.2.0/24'] },
      'a host certificate': { certificate: ['-n', 'tunnel', '-h'] },
    },
  };
  for (const [outcome, named] of Object.entries(cases)) {
    for (const [name, one] of Object.entries(named)) {
      test(`${name}: ${outcome}`, async () => {
        assert.equal(await compare(one), outcome);
      });
    }
  }

  test('principals that the bastion lists for the user', async () => {
    const file = join(sshd.directory, 'principals');
    writeFileSync(file, 'operators\n');
    const config = [`AuthorizedPrincipalsFile ${file}`];
    assert.equal(await compare({ config, certificate: ['-n', 'operators'] }), 'carried');
    assert.equal(await compare({ config, certificate: ['-n', 'tunnel'] }), 'no login');
  });
});
