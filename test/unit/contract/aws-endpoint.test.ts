// Which addresses may get signed requests: AWS’s own and allowed ones, and no error repeats a secret part of an address.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEndpoints, checkedEndpoint, throughEndpoint } from '../../../src/contract/aws-endpoint.ts';
import { TunnelError } from '../../../src/contract/errors.ts';

const policy = {
  region: 'eu-west-1',
  allowed: ['https://vpce.example.com:8443', 'http://127.0.0.1:4000', 'http://plain.example.com'],
};

test('AWS’s own addresses of the region, private endpoints and allowed origins may be signed for', () => {
  for (const address of [
    'wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/x?role=publish_subscribe&cell-number=A+b/c',
    'wss://ssmmessages-fips.eu-west-1.amazonaws.com/',
    'wss://ssmmessages.eu-west-1.api.aws/',
    'wss://vpce-0123-abcd.ssmmessages.eu-west-1.vpce.amazonaws.com/',
    'wss://vpce.example.com:8443/v1',
    'ws://127.0.0.1:4000/v1',
  ]) {
    assert.equal(checkedEndpoint(address, 'ssmmessages', policy).href, new URL(address).href);
  }
});

test('any other host, region, service, port or scheme is refused, and no sentence repeats a path or query', () => {
  for (const address of [
    'ws://ssmmessages.eu-west-1.amazonaws.com/secret',
    'wss://ssmmessages.us-east-1.amazonaws.com/secret',
    'wss://ssm.eu-west-1.amazonaws.com/secret',
    'wss://ssmmessages.eu-west-1.amazonaws.com.evil.example/secret',
    'wss://evil-ssmmessages.eu-west-1.amazonaws.com/secret',
    'wss://bucket.s3.eu-west-1.amazonaws.com/secret',
    'wss://ssmmessages.eu-west-1.amazonaws.com:8443/secret',
    'wss://user:secret@ssmmessages.eu-west-1.amazonaws.com/',
    'wss://vpce.example.com/secret',
    'http://plain.example.com/secret',
    'ws://127.0.0.1:4001/secret',
    'secret',
  ]) {
    assert.throws(
      () => checkedEndpoint(address, 'ssmmessages', policy),
      (error) =>
        error instanceof TunnelError && error.code === 'EndpointNotAllowed' && !error.message.includes('secret'),
      address,
    );
  }
});

test('the endpoints of a document are judged each for its own service, and the field is named', () => {
  checkEndpoints(undefined, policy);
  checkEndpoints({ ssm: '', ecs: 'https://ecs.eu-west-1.amazonaws.com', sts: 'https://vpce.example.com:8443' }, policy);
  for (const [field, endpoints] of Object.entries({
    ssm: { ssm: 'https://ssm.eu-west-2.amazonaws.com' },
    sts: { ssm: '', sts: 'https://ssm.eu-west-1.amazonaws.com' },
    ecs: { ecs: 'https://example.com' },
  })) {
    assert.throws(
      () => checkEndpoints(endpoints, policy),
      (error) =>
        error instanceof TunnelError &&
        error.code === 'EndpointNotAllowed' &&
        error.message.startsWith(`spec.ssm.endpoints.${field}: `),
      field,
    );
  }
});

test('a private endpoint replaces only the host of the data channel’s address', () => {
  const url =
    'wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/a@b?role=publish_subscribe&cell-number=A+b/c==';
  assert.equal(
    throughEndpoint(url, 'https://vpce.example.com:8443'),
    'wss://vpce.example.com:8443/v1/data-channel/a@b?role=publish_subscribe&cell-number=A+b/c==',
  );
});
