// Addresses as text and as numbers; the system's own reader (node:net) says which texts are addresses.
import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import { hostPort, parseIPv4, parseIPv6 } from '../../../src/contract/ip-address.ts';

test('only an IPv6 address gets brackets', () => {
  assert.equal(hostPort('orders.db', 5432), 'orders.db:5432');
  assert.equal(hostPort('10.0.0.5', 22), '10.0.0.5:22');
  assert.equal(hostPort('fd00::5', 22), '[fd00::5]:22');
});

test('an IPv6 address is read in every way of writing it', () => {
  assert.equal(parseIPv6('::'), 0n);
  assert.equal(parseIPv6('::1'), 1n);
  assert.equal(parseIPv6('1::'), 1n << 112n);
  assert.equal(parseIPv6('2001:DB8::8'), 0x2001_0db8_0000_0000_0000_0000_0000_0008n);
  assert.equal(parseIPv6('1:2:3:4:5:6:7:8'), 0x0001_0002_0003_0004_0005_0006_0007_0008n);
  assert.equal(parseIPv6('::ffff:10.0.0.5'), 0xffff_0a00_0005n);
  assert.equal(parseIPv4('10.0.0.5'), 0x0a00_0005n);
});

test('a text that the system does not take for an address is none here', () => {
  const texts = [
    '',
    ':',
    ':::',
    '1',
    '1:2',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '1:2:3:4::5:6:7:8',
    'g::1',
  ];
  const more = [
    '12345::',
    '::1.2.3',
    '::1.2.3.256',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '[::1]',
    ' ::1',
    '::1/64',
    '::01.2.3.4',
  ];
  for (const text of [...texts, ...more]) {
    assert.equal(isIPv6(text), false, text);
    assert.equal(parseIPv6(text), undefined, text);
  }
  for (const text of ['', '1', '1.2.3', '1.2.3.4.5', '256.0.0.1', '01.2.3.4', '1.2.3.x', '1.2.3.4 ']) {
    assert.equal(isIPv4(text), false, text);
    assert.equal(parseIPv4(text), undefined, text);
  }
});
