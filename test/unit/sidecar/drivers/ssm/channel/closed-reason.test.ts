import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closedReason } from '../../../../../../src/sidecar/drivers/ssm/channel/closed-reason.ts';

test('the service’s texts for why it closed a channel become reasons that name the target and the remedy', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['\n-----ERROR-----\nEncountered error. Handshake timed out. Please', 'SessionRefused', /on i-1 gave .* up: look/],
    [
      'Unable to connect to specified port: dial tcp',
      'DestinationUnreachable',
      /i-1 could not connect to db:5432: start what listens/,
    ],
    [
      'Forwarding to IP address 169.254.169.254 is forbidden',
      'ForwardingProhibited',
      /i-1 refuses .* db:5432: correct spec\.ports/,
    ],
    [
      '\n----------ERROR-------\nlookup db on 10.0.0.2:53: no such host',
      'DestinationNameNotResolved',
      /i-1 finds no address for the name of db:5432: correct spec\.ports/,
    ],
    [
      'lookup db on 10.0.0.2:53: read udp 10.0.0.9:53042->10.0.0.2:53: i/o timeout',
      'DestinationNameNotResolved',
      /DNS of i-1 did not answer .* name of db:5432: correct the DNS/,
    ],
    [
      'Setting up data channel with id x failed: no',
      'SessionRefused',
      /i-1 could not open .*: give its role ssmmessages/,
    ],
    ['something else', 'BastionLost', /^Session Manager ended the session to i-1$/],
    ['', 'BastionLost', /ended the session to i-1/],
  ];
  for (const [output, code, sentence] of cases) {
    const error = closedReason(output, { target: 'i-1', destination: 'db:5432' });
    assert.equal(error.code, code);
    assert.match(error.message, sentence);
    assert.equal(error.cause instanceof Error, output !== '');
  }
});
