// `portforward open` with spec.ssm: the service speaks TLS on loopback, as the document's endpoint has to.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { Authority } from '../../../lab/cluster/certificates.ts';
import { type Postgres, startPostgres } from '../../../lab/private-network/postgres.ts';
import type { Child } from '../../../lab/process/child.ts';
import { SessionManager } from '../../support/ssm/session-manager.ts';
import { customers, ended, Folder, localPort, portforward } from './laptop.ts';

let manager: SessionManager;
let postgres: Postgres;
let folder: Folder;
let authority: Authority;

before(async () => {
  folder = new Folder();
  authority = new Authority(join(folder.path, 'certificates'));
  await authority.create();
  await authority.issue('service', { user: 'localhost', names: ['localhost'] });
  const tls = {
    name: 'localhost',
    certificate: authority.certificate('service'),
    key: authority.key('service'),
    authority: readFileSync(authority.certificate(), 'utf8'),
  };
  [manager, postgres] = await Promise.all([SessionManager.start({ listen: '127.0.0.1:0', tls }), startPostgres()]);
  const { accessKeyId, secretAccessKey } = manager.credentials;
  folder.write('aws/AWS_ACCESS_KEY_ID', accessKeyId);
  folder.write('aws/AWS_SECRET_ACCESS_KEY', secretAccessKey);
  folder.write(
    'profiles',
    `[orders]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
  );
});

after(async () => {
  await Promise.all([manager.stop(), postgres.stop()]);
  folder[Symbol.dispose]();
});

function document(ssm: Readonly<Record<string, unknown>> = {}): string {
  return folder.write(
    `orders-${crypto.randomUUID()}.yaml`,
    stringify({
      apiVersion: 'portforward.dev/v1alpha1',
      kind: 'PortForward',
      metadata: { name: 'orders-db', namespace: 'shop' },
      spec: {
        ports: [{ port: 5432, name: 'postgres', destinationPort: postgres.port, appProtocol: 'postgresql' }],
        ssm: {
          region: 'eu-west-1',
          target: { instanceId: 'i-0123456789abcdef0' },
          endpoints: { ssm: manager.endpoint },
          ...ssm,
        },
      },
    }),
  );
}

/** The command, trusting the service's certificate, with nothing of this machine's own AWS identity. */
function open(file: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Child {
  return portforward(['open', '-f', file, '--port', '0:5432', '--allow-endpoint', manager.endpoint, ...args], {
    NODE_EXTRA_CA_CERTS: authority.certificate(),
    HOME: folder.path,
    AWS_SHARED_CREDENTIALS_FILE: join(folder.path, 'profiles'),
    AWS_EC2_METADATA_DISABLED: 'true',
    ...env,
  });
}

for (const [identity, ssm, args, env] of [
  ['keys of a Secret’s folder', { secretRef: { name: 'aws' } }, ['--secret', 'aws=FOLDER'], {}],
  ['a profile of the AWS command line', {}, [], { AWS_PROFILE: 'orders' }],
] as const) {
  test(`psql reads rows through a node, with ${identity}, and Ctrl-C ends it cleanly`, async () => {
    const given = args.map((arg) => arg.replace('FOLDER', join(folder.path, 'aws')));
    const opened = open(document(ssm), given, env);
    try {
      const port = await localPort(opened, 'postgres');
      assert.match(await opened.line(/connected via/), /i-0123456789abcdef0/);
      assert.match(await customers(postgres, port), /Ada\nGrace/);
      await opened.line(/postgres: the destination answers/);
      opened.signal('SIGINT');
      const { end, output } = await ended(opened);
      assert.equal(end, 'exit 0', output);
    } finally {
      await opened.stop();
    }
  });
}

test('an endpoint that the user did not allow is refused before anything is opened, with the option that would', async () => {
  const opened = portforward(['open', '-f', document(), '--port', '0:5432']);
  const { end, output } = await ended(opened);
  assert.equal(end, 'exit 2', output);
  assert.match(output, /spec\.ssm\.endpoints\.ssm: https:\/\/localhost:\d+ is neither AWS’s ssm of eu-west-1/);
  assert.match(output, /--allow-endpoint/);
});

test('without any AWS identity it ends and says what a person can do', async () => {
  const opened = open(document(), [], {
    AWS_PROFILE: '',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_CONFIG_FILE: '/dev/null',
  });
  const { end, output } = await ended(opened);
  assert.equal(end, 'exit 1', output);
  assert.match(output, /CredentialsMissing/);
  assert.match(output, /sign in as for the AWS command line/);
  assert.doesNotMatch(output, /trying again|ServiceAccount/, 'nothing is tried again, and nothing here is a cluster');
});
