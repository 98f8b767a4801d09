// Lines of knownHosts that no bastion can match, and what is wrong with each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unreadableLines } from '../../../src/contract/known-hosts-lines.ts';

const key = 'AAAAC3NzaC1lZDI1NTE5AAAAIJ8v7Zx1k0b8m5rZJ8v7Zx1k0b8m5rZJ8v7Zx1k0b8m5';

test('what sshd(8) describes is read, whatever stands around it', () => {
  const text = [
    '# bastions',
    '',
    `bastion.example.com,10.0.0.1 ssh-ed25519 ${key}`,
    `  [b.example.com]:2222 ssh-ed25519 ${key} comment of two words`,
    `|1|c2FsdA==|aGFzaA== ssh-ed25519 ${key}`,
    `@revoked * ssh-ed25519 ${key}`,
    `@cert-authority *.example.com ssh-ed25519 ${key}`,
  ];
  assert.deepEqual(unreadableLines(text.join('\r\n')), []);
});

test('each other line is named by its number, with its fault', () => {
  const text = [
    'AAAAC3Nza garbage',
    `bastion.example.com ssh-ed25519 ${key}`,
    `bastion.example.com ssh-rsa ${key}`,
    'bastion.example.com ssh-ed25519 …',
    `@trusted bastion.example.com ssh-ed25519 ${key}`,
  ];
  const seen = unreadableLines(text.join('\n')).map(({ number, why }) => `${number}: ${why}`);
  assert.deepEqual(seen, [
    '1: it is not made of a host, a key type and a key, as ssh-keyscan prints them',
    '3: its key is cut off or not of the type that stands before it',
    '4: its key is cut off or not of the type that stands before it',
    '5: its marker is neither @revoked nor @cert-authority',
  ]);
});
