import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseDocuments } from '../../../src/cli/documents.ts';
import { dataOf, PrivateDirectory, provideSecrets, type SecretSources } from '../../../src/cli/local-secrets.ts';

let world: string;
let directory: PrivateDirectory;

before(() => {
  world = mkdtempSync(join(tmpdir(), 'portforward-secrets-'));
  directory = new PrivateDirectory();
});

after(() => {
  directory.remove();
  assert.ok(!existsSync(directory.path));
  rmSync(world, { recursive: true });
});

const wanted = (name: string) => ({ namespace: 'shop', names: [name], keys: ['ssh-privatekey', 'known_hosts'] });

const from = (sources: Partial<SecretSources>): SecretSources => ({ given: [], documents: [], ...sources });

const manifest = (text: string) => parseDocuments('f.yaml', text).documents;

test('a folder that the user names is used in place', async () => {
  const folder = join(world, 'mine');
  mkdirSync(folder);
  const found = await provideSecrets(wanted('a'), from({ given: [`a=${folder}`] }), directory);
  assert.deepEqual(found.get('a'), { directory: folder, origin: `the folder ${folder}` });
});

test('a single file is linked as the private key, so that a rotation is noticed', async () => {
  const file = join(world, 'id_ed25519');
  writeFileSync(file, 'first');
  const found =
    (await provideSecrets(wanted('b'), from({ given: [`b=${file}`] }), directory)).get('b')?.directory ?? '';
  writeFileSync(file, 'second');
  assert.equal(readFileSync(join(found, 'ssh-privatekey'), 'utf8'), 'second');
});

test('a folder of folders provides the Secrets that it has', async () => {
  mkdirSync(join(world, 'all', 'c'), { recursive: true });
  const sources = from({ folder: join(world, 'all') });
  assert.equal((await provideSecrets(wanted('c'), sources, directory)).get('c')?.directory, join(world, 'all', 'c'));
  await assert.rejects(
    provideSecrets(wanted('d'), sources, directory),
    /the Secret d is missing here: .* make the folder \S+\/all\/d, /,
  );
  await assert.rejects(
    provideSecrets(wanted('c'), from({ folder: join(world, 'none') }), directory),
    /no such directory/,
  );
});

test('only the documented keys of a manifest are written, readable by this user only', async () => {
  const documents = manifest(`apiVersion: v1
kind: Secret
metadata: { name: e }
data: { known_hosts: ${Buffer.from('hosts').toString('base64')}, token: c2VjcmV0 }
stringData: { ssh-privatekey: key }
`);
  const found = (await provideSecrets(wanted('e'), from({ documents }), directory)).get('e')?.directory ?? '';
  assert.deepEqual(readdirSync(found).toSorted(), ['known_hosts', 'ssh-privatekey']);
  assert.equal(readFileSync(join(found, 'known_hosts'), 'utf8'), 'hosts');
  assert.equal(statSync(join(found, 'ssh-privatekey')).mode & 0o777, 0o600);
  assert.equal(statSync(directory.path).mode & 0o777, 0o700);
});

test('a manifest of another namespace is another Secret', async () => {
  const documents = manifest(
    'apiVersion: v1\nkind: Secret\nmetadata: { name: f, namespace: other }\nstringData: { known_hosts: x }\n',
  );
  await assert.rejects(provideSecrets(wanted('f'), from({ documents }), directory), /is missing here/);
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
  const found = await provideSecrets(both, sources, directory);
  assert.deepEqual(asked, ['g']);
  assert.equal(readFileSync(join(found.get('g')?.directory ?? '', 'ssh-privatekey'), 'utf8'), 'from the cluster');
});

test('a Secret that the document does not name, or a path that does not exist, is refused', async () => {
  await assert.rejects(provideSecrets(wanted('i'), from({ given: [`j=${world}`] }), directory), /the document names i/);
  await assert.rejects(
    provideSecrets(wanted('i'), from({ given: ['i=/nowhere/at/all'] }), directory),
    /there is no \/nowhere/,
  );
  await assert.rejects(
    provideSecrets(wanted('i'), from({ given: ['i'] }), directory),
    /write NAME=DIRECTORY, or NAME=FILE/,
  );
});
