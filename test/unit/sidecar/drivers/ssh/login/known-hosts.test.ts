import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fingerprint } from '../../../../../../src/sidecar/drivers/ssh/base/fingerprint.ts';
import {
  hostKeyAlgorithms,
  joinKnownHosts,
  knownHostsLine,
} from '../../../../../../src/sidecar/drivers/ssh/login/host-trust.ts';
import { hostName, keyTypeOf, parseKnownHosts } from '../../../../../../src/sidecar/drivers/ssh/login/known-hosts.ts';

function blob(type = 'ssh-ed25519', seed = randomBytes(32)): Buffer {
  const part = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  return Buffer.concat([part(Buffer.from(type)), part(seed)]);
}
const key = blob();
const other = blob();
const rsa = blob('ssh-rsa');
const line = (names: string, bytes = key): string => `${names} ${keyTypeOf(bytes)} ${bytes.toString('base64')}`;
const hashed = (name: string): string => {
  const salt = randomBytes(20);
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
};
const verdict = (text: string, host = 'bastion.example.com', port = 22, bytes = key): string =>
  parseKnownHosts(text).verdict(host, port, bytes);

describe('known_hosts', () => {
  test('trusts the key of a plain line, in any case of the name', () => {
    assert.equal(verdict(line('bastion.example.com')), 'trusted');
    assert.equal(verdict(line('Bastion.Example.COM')), 'trusted');
    assert.equal(verdict(line('bastion.example.com'), 'BASTION.example.com'), 'trusted');
  });

  test('says unknown without a line, changed with another key', () => {
    assert.equal(verdict(''), 'unknown');
    assert.equal(verdict(line('elsewhere')), 'unknown');
    assert.equal(verdict(line('bastion.example.com', other)), 'changed');
    assert.equal(verdict(line('bastion.example.com', rsa)), 'changed');
  });

  test('trusts any of several keys of a host', () => {
    const text = [
      line('bastion.example.com', rsa),
      line('bastion.example.com', other),
      line('bastion.example.com'),
    ].join('\n');
    assert.equal(verdict(text), 'trusted');
  });

  test('reads comma lists, comments, blank lines, CRLF and trailing words', () => {
    const text = `# ours\r\n\r\n  ${line('alias,bastion.example.com,10.0.0.5')} me@laptop\r\n`;
    assert.equal(verdict(text), 'trusted');
    assert.equal(verdict(text, '10.0.0.5'), 'trusted');
    assert.equal(verdict(text, 'alias'), 'trusted');
  });

  test('finds hashed names, with and without a port', () => {
    assert.equal(verdict(line(hashed('bastion.example.com'))), 'trusted');
    assert.equal(verdict(line(hashed('[bastion.example.com]:2222')), 'bastion.example.com', 2222), 'trusted');
    assert.equal(verdict(line(hashed('elsewhere'))), 'unknown');
    assert.equal(verdict(line('|1|broken')), 'unknown');
    assert.equal(verdict(line('|2|a|b')), 'unknown');
  });

  test('tells ports apart: [host]:port counts on that port alone', () => {
    assert.equal(verdict(line('[bastion.example.com]:2222'), 'bastion.example.com', 2222), 'trusted');
    assert.equal(verdict(line('[bastion.example.com]:2222')), 'unknown');
    assert.equal(verdict(line('[bastion.example.com]:2222'), 'bastion.example.com', 2223), 'unknown');
  });

  test('lets a bare line vouch for a key on another port, as OpenSSH does, but never accuse one', () => {
    assert.equal(verdict(line('bastion.example.com'), 'bastion.example.com', 2222), 'trusted');
    assert.equal(verdict(line('bastion.example.com', other), 'bastion.example.com', 2222), 'unknown');
    const both = [line('bastion.example.com'), line('[bastion.example.com]:2222', other)].join('\n');
    assert.equal(verdict(both, 'bastion.example.com', 2222), 'changed');
  });

  test('matches wildcards, and one negated pattern outweighs all', () => {
    assert.equal(verdict(line('*.example.com')), 'trusted');
    assert.equal(verdict(line('bastion.example.co?')), 'trusted');
    assert.equal(verdict(line('*.example.com,!bastion.*')), 'unknown');
    assert.equal(verdict(line('!bastion.*,*.example.com')), 'unknown');
    assert.equal(verdict(line('!other.example.com')), 'unknown');
    assert.equal(verdict(line('[*.example.com]:2222'), 'bastion.example.com', 2222), 'trusted');
    assert.equal(verdict(line('b.stion.example.com')), 'unknown', 'a dot is a dot');
  });

  test('refuses a revoked key even if another line trusts it', () => {
    const text = `${line('bastion.example.com')}\n@revoked ${line('*')}`;
    assert.equal(verdict(text), 'revoked');
    assert.deepEqual(parseKnownHosts(text).knownKeyTypes('bastion.example.com', 22), []);
    assert.equal(verdict(text, 'bastion.example.com', 22, other), 'changed');
  });

  test('never trusts a certificate authority’s line, but reports it', () => {
    const hosts = parseKnownHosts(`@cert-authority ${line('*.example.com')}`);
    assert.equal(hosts.verdict('bastion.example.com', 22, key), 'unknown');
    assert.equal(hosts.hasAuthority('bastion.example.com', 22), true);
    assert.equal(hosts.hasAuthority('elsewhere', 22), false);
  });

  test('skips lines that cannot be read', () => {
    const text = [
      'bastion.example.com',
      'bastion.example.com ssh-ed25519',
      'bastion.example.com ssh-ed25519 ####',
      `bastion.example.com ssh-rsa ${key.toString('base64')}`,
      `@unknown ${line('bastion.example.com')}`,
    ].join('\n');
    assert.equal(verdict(text), 'unknown');
  });

  test('writes IPv6 hosts as ssh does', () => {
    assert.equal(hostName('::1', 22), '::1');
    assert.equal(hostName('::1', 2222), '[::1]:2222');
    assert.equal(verdict(line('[::1]:2222'), '::1', 2222), 'trusted');
  });

  test('the line that an error shows makes the host trusted', () => {
    fc.assert(
      fc.property(
        fc.domain(),
        fc.integer({ min: 1, max: 65535 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (host, port, seed) => {
          const bytes = blob('ssh-ed25519', Buffer.from(seed));
          assert.equal(verdict(knownHostsLine(host, port, bytes), host, port, bytes), 'trusted');
          assert.equal(verdict(knownHostsLine(host, port, bytes), host, port, other), 'changed');
        },
      ),
    );
  });

  test('never throws, and never trusts noise', () => {
    const noise = fc.string({ unit: 'binary', maxLength: 200 });
    fc.assert(fc.property(noise, (text) => assert.notEqual(verdict(text), 'trusted')));
    const fields = fc.array(
      fc.constantFrom(
        '@revoked',
        '@cert-authority',
        '|1|',
        '*',
        '!',
        ',',
        '[',
        ']:22',
        'ssh-ed25519',
        ' ',
        '\n',
        'AAAA',
      ),
    );
    fc.assert(fc.property(fields, (words) => assert.notEqual(verdict(words.join('')), 'trusted')));
  });

  test('a pattern of a hundred stars is matched at once', () => {
    const before = performance.now();
    assert.equal(verdict(line(`${'*a'.repeat(100)}b`), 'a'.repeat(250)), 'unknown');
    assert.ok(performance.now() - before < 5_000);
  });
});

describe('host trust', () => {
  test('joins sources: any may trust, any revocation wins', () => {
    const trusting = parseKnownHosts(line('h'));
    const changed = parseKnownHosts(line('h', other));
    const revoking = parseKnownHosts(`@revoked ${line('*')}`);
    const none = parseKnownHosts('');
    const judge = (...sources: Parameters<typeof joinKnownHosts>[0][number][]): string =>
      joinKnownHosts(sources).verdict('h', 22, key);
    assert.equal(judge(none, trusting), 'trusted');
    assert.equal(judge(changed, trusting), 'trusted');
    assert.equal(judge(trusting, revoking), 'revoked');
    assert.equal(judge(none, changed), 'changed');
    assert.equal(judge(none, none), 'unknown');
    assert.deepEqual(joinKnownHosts([parseKnownHosts(line('h', rsa)), trusting]).knownKeyTypes('h', 22), [
      'ssh-rsa',
      'ssh-ed25519',
    ]);
  });

  test('the line that decides about a key is named, and a revoking one first', () => {
    const one = parseKnownHosts(`# comment\n\n${line('h', other)}\n${line('h')}`, 'one');
    const two = parseKnownHosts(`@revoked ${line('*')}`, 'two');
    assert.equal(one.lineFor('h', 22, key), 'line 4 of one');
    assert.equal(one.lineFor('other.example.com', 22, key), undefined);
    assert.equal(two.lineFor('h', 22, key), 'line 1 of two');
    assert.equal(joinKnownHosts([one, two]).lineFor('h', 22, key), 'line 1 of two');
    assert.equal(joinKnownHosts([one, parseKnownHosts('')]).lineFor('h', 22, key), 'line 4 of one');
  });

  test('offers only algorithms of known types, never SHA-1', () => {
    assert.deepEqual(hostKeyAlgorithms(['ssh-rsa']), ['rsa-sha2-512', 'rsa-sha2-256']);
    assert.deepEqual(hostKeyAlgorithms(['ssh-ed25519']), ['ssh-ed25519']);
    assert.equal(hostKeyAlgorithms([])[0], 'ssh-ed25519');
    assert.equal(hostKeyAlgorithms(['ssh-dss']).length > 0, true);
    for (const known of [[], ['ssh-rsa'], ['ssh-dss']]) assert.ok(!hostKeyAlgorithms(known).includes('ssh-rsa'));
  });

  test('prints fingerprints as ssh-keygen does', () => {
    const text = 'AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
    assert.equal(fingerprint(Buffer.from(text, 'base64')), 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU');
  });
});
