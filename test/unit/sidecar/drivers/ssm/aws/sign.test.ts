import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signUpgrade } from '../../../../../../src/sidecar/drivers/ssm/aws/sign.ts';
import { golden } from '../golden.ts';

const { url, region, accessKeyId, secretAccessKey, sessionToken, amzDate, authorization } = golden.sigv4;
const credentials = { accessKeyId, secretAccessKey, sessionToken };
const date = new Date('2026-11-22T12:00:00Z');

test('the upgrade is signed as in the golden vector, including a raw plus in the query', async () => {
  assert.deepEqual(await signUpgrade(new URL(url), { region, credentials, date }), {
    authorization,
    'x-amz-date': amzDate,
    'x-amz-security-token': sessionToken,
  });
});

test('an address that carries its own signature gets no second one', async () => {
  const signed = new URL(`${url}&X-Amz-Signature=abc`);
  assert.deepEqual(await signUpgrade(signed, { region, credentials, date }), {});
});

test('the path is encoded twice, as the service does before it compares', async () => {
  const [plain, odd] = await Promise.all(
    ['name-0a1b', 'na%40me=0a1b'].map((id) =>
      signUpgrade(new URL(`wss://ssmmessages.eu-west-1.amazonaws.com/v1/data-channel/${id}`), {
        region,
        credentials,
        date,
      }),
    ),
  );
  assert.notEqual(plain?.['authorization'], odd?.['authorization']);
});
