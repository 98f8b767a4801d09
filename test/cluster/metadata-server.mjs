// The instance metadata service of a node, as EC2 has it at 169.254.169.254: gives out the keys of the node's role, which its first argument
// holds. Prints each request. Run inside the node's network namespace; ssm.test.ts starts it.
import { createServer } from 'node:http';

const keys = JSON.parse(process.argv[2] ?? '{}');
const role = 'node-role';
const answers = {
  'PUT /latest/api/token': 'metadata-token',
  'GET /latest/meta-data/iam/security-credentials/': role,
  [`GET /latest/meta-data/iam/security-credentials/${role}`]: JSON.stringify({
    Code: 'Success',
    Type: 'AWS-HMAC',
    AccessKeyId: keys.AWS_ACCESS_KEY_ID,
    SecretAccessKey: keys.AWS_SECRET_ACCESS_KEY,
    Token: keys.AWS_SESSION_TOKEN,
    LastUpdated: new Date().toISOString(),
    Expiration: new Date(Date.now() + 3_600_000).toISOString(),
  }),
};

createServer((request, response) => {
  const asked = `${request.method} ${request.url}`;
  console.log(asked);
  const answer = answers[asked];
  response.writeHead(answer === undefined ? 404 : 200, { 'x-aws-ec2-metadata-token-ttl-seconds': '21600' });
  response.end(answer);
}).listen(80, '169.254.169.254', () => console.log('listening'));
