import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseDocuments } from '../../../src/cli/documents.ts';
import { dataOf, emptySecretReason, provideSecrets, type SecretSources } from '../../../src/cli/local-secrets.ts';
import { memorySecret } from '../../../src/sidecar/base/memory-secrets.ts';
import { readSecretFiles, watchSecretFiles } from '../../../src/sidecar/base/secret-files.ts';

let world: string;

before(() => {
  world = mkdtempSync(join(tmpdir(), 'portforward-secrets-'));
});

after(() => {
  rmSync(world, { recursive: true });
});

/** What the tunnel reads of it. */
const read = async (found: Awaited<ReturnType<typeof provideSecrets>>, name: string) =>
  (await readSecretFiles(found.get(name)?.directory ?? '', ['ssh-privatekey', 'known_hosts', 'token'])).files;

const wanted = (name: string) => ({ namespace: 'shop', names: [name], keys: ['ssh-privatekey', 'known_hosts'] });

const from = (sources: Partial<SecretSources>): SecretSources => ({ given: [], documents: [], ...sources });

const manifest = (text: string) => parseDocuments('f.yaml', text).documents;

test('a folder that the user names is used in place', async () => {
  const folder = join(world, 'mine');
  mkdirSync(folder);
  const found = await provideSecrets(wanted('a'), from({ given: [`a=${folder}`] }));
  const { directory, origin } = found.get('a') ?? {};
  assert.deepEqual({ directory, origin }, { directory: folder, origin: `the folder ${folder}` });
  assert.match(emptySecretReason(found, ['ssh-privatekey']) ?? '', /has none of the keys of the Secret a/);
  writeFileSync(join(folder, 'ssh-privatekey'), 'key');
  assert.equal(emptySecretReason(found, ['ssh-privatekey']), undefined);
});

test('a single file is the private key, read in place, so that a rotation is noticed', async () => {
  const file = join(world, 'id_ed25519');
  writeFileSync(file, 'first');
  const found = await provideSecrets(wanted('b'), from({ given: [`b=${file}`] }));
  assert.deepEqual(await read(found, 'b'), { 'ssh-privatekey': 'first' });
  const noticed = Promise.withResolvers<void>();
  const directory = found.get('b')?.directory ?? '';
  const { digest } = await readSecretFiles(directory, ['ssh-privatekey']);
  const unwatch = watchSecretFiles(directory, ['ssh-privatekey'], noticed.resolve);
  // The watch compares with what it read first; a change before that would be its first content.
  const rewrite = setInterval(() => writeFileSync(file, `second ${performance.now()}`), 700);
  await noticed.promise;
  clearInterval(rewrite);
  unwatch();
  assert.notEqual((await readSecretFiles(directory, ['ssh-privatekey'])).digest, digest);
});

test('files that are named one by one become keys of a Secret', async () => {
  const key = join(world, 'key');
  writeFileSync(key, 'the key');
  const files = new Map([
    [
      'j',
      new Map([
        ['ssh-privatekey', key],
        ['known_hosts', join(world, 'none')],
      ]),
    ],
  ]);
  const found = await provideSecrets(wanted('j'), from({ files }));
  assert.deepEqual(await read(found, 'j'), { 'ssh-privatekey': 'the key' });
});

test('a folder of folders provides the Secrets that it has', async () => {
  mkdirSync(join(world, 'all', 'c'), { recursive: true });
  const sources = from({ folder: join(world, 'all') });
  assert.equal((await provideSecrets(wanted('c'), sources)).get('c')?.directory, join(world, 'all', 'c'));
  await assert.rejects(
    provideSecrets(wanted('d'), sources),
    /the Secret d is missing here: .* make the folder \S+\/all\/d, /,
  );
  await assert.rejects(provideSecrets(wanted('c'), from({ folder: join(world, 'none') })), /no such directory/);
});

test('only the documented keys of a manifest are kept, in memory and in no file', async () => {
  const documents = manifest(`apiVersion: v1
kind: Secret
metadata: { name: e }
data: { known_hosts: ${Buffer.from('hosts').toString('base64')}, token: c2VjcmV0 }
stringData: { ssh-privatekey: key }
`);
  const found = await provideSecrets(wanted('e'), from({ documents }));
  assert.deepEqual(await read(found, 'e'), { 'ssh-privatekey': 'key', known_hosts: 'hosts' });
  const directory = found.get('e')?.directory ?? '';
  assert.match(directory, /^memory:/);
  assert.ok([...(memorySecret(directory)?.values() ?? [])].every((each) => each instanceof Buffer));
  assert.equal(emptySecretReason(found, ['password']) === undefined, false);
  assert.equal(emptySecretReason(found, ['known_hosts']), undefined);
});

test('a manifest of another namespace is another Secret', async () => {
  const documents = manifest(
    'apiVersion: v1\nkind: Secret\nmetadata: { name: f, namespace: other }\nstringData: { known_hosts: x }\n',
  );
  await assert.rejects(provideSecrets(wanted('f'), from({ documents })), /is missing here/);
});

test('the cluster is asked last, and only for what no other source has', async () => {
  const asked: string[] = [];
  const sources = from({
    fromCluster: (name) => {
      asked.push(name);
      return Promise.resolve(dataOf({ 'ssh-privatekey': Buffer.from('from the cluster').toString('base64') }));
    },
    given: [`h=${world}`],
  });
  const both = { ...wanted('g'), names: ['g', 'h'] };
  const found = await provideSecrets(both, sources);
  assert.deepEqual(asked, ['g']);
  assert.deepEqual(await read(found, 'g'), { 'ssh-privatekey': 'from the cluster' });
});

test('a Secret that the document does not name, or a path that does not exist, is refused', async () => {
  await assert.rejects(provideSecrets(wanted('i'), from({ given: [`j=${world}`] })), /the document names i/);
  await assert.rejects(provideSecrets(wanted('i'), from({ given: ['i=/nowhere/at/all'] })), /there is no \/nowhere/);
  await assert.rejects(provideSecrets(wanted('i'), from({ given: ['i'] })), /write NAME=DIRECTORY, or NAME=FILE/);
});
