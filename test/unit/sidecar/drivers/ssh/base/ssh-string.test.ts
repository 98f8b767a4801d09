// The examples of RFC 4251 §5, and bytes that end too early.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  leadingString,
  SshReader,
  sshNumber,
  sshString,
} from '../../../../../../src/sidecar/drivers/ssh/base/ssh-string.ts';

test('a string is its length and its bytes', () => {
  assert.equal(sshString('testing').toString('hex'), '0000000774657374696e67');
  assert.equal(sshString('').toString('hex'), '00000000');
  assert.equal(sshString('é').toString('hex'), '00000002c3a9', 'the length counts bytes');
  assert.equal(sshString(Buffer.of(0xff)).toString('hex'), '00000001ff');
});

test('a number is in its shortest form and never looks negative', () => {
  assert.equal(sshNumber(Buffer.from('09a378f9b2e332a7', 'hex')).toString('hex'), '0000000809a378f9b2e332a7');
  assert.equal(sshNumber(Buffer.from('80', 'hex')).toString('hex'), '000000020080');
  assert.equal(sshNumber(Buffer.from('00000080', 'hex')).toString('hex'), '000000020080');
  assert.equal(sshNumber(Buffer.from('0000007f', 'hex')).toString('hex'), '000000017f');
});

test('values are read one after the other', () => {
  const bytes = Buffer.concat([
    Buffer.of(9),
    sshString('ssh'),
    Buffer.of(0, 0, 0, 1),
    Buffer.alloc(8, 0xff),
    sshString(''),
  ]);
  const reader = new SshReader(bytes, 1);
  assert.equal(String(reader.string()), 'ssh');
  assert.equal(reader.uint32(), 1);
  assert.equal(reader.uint64(), 0xffff_ffff_ffff_ffffn);
  assert.equal(reader.string().length, 0);
  assert.throws(() => reader.string(), RangeError);
});

test('bytes that end within a value are refused, whatever length they promise', () => {
  for (const text of ['', '000000', '00000001', '0000000474657', 'ffffffff74']) {
    const bytes = Buffer.from(text, 'hex');
    assert.throws(() => new SshReader(bytes).string(), RangeError, text);
    assert.equal(leadingString(bytes), undefined, text);
  }
  assert.equal(leadingString(sshString('ssh-ed25519')), 'ssh-ed25519');
});
