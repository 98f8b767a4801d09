// The command for machines where the release has no one file (macOS, Windows): the bundles without native parts, as a package that npm
// installs from this file and that any unpacker opens. It names the Node it needs, and says so when it is started by an older one.
// Neighbours: ../build.ts (the bundles), archive.ts.
import { copyFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipped, writeTar } from './archive.ts';

export interface NodeBundleParts {
  readonly version: string;
  readonly epoch: number;
  readonly bundles: string;
  readonly licence: string;
  readonly work: string;
}

const neededNode = 24;

const start = `#!/usr/bin/env node
'use strict';
var major = Number(process.versions.node.split('.')[0]);
if (major < ${neededNode}) {
  process.stderr.write('portforward: Node ${neededNode} or later is needed, and this is Node ' + process.versions.node + '\\n');
  process.exit(2);
}
require('../lib/portforward.cjs');
`;

const readme = (
  version: string,
): string => `portforward ${version}, the command for macOS, Windows and every other machine with Node ${neededNode} or later.

Install:      npm install --global portforward-${version}-node.tgz      (asks no registry)
or unpack it: tar -xzf portforward-${version}-node.tgz, then: node package/bin/portforward.cjs version

It has no native parts: ssh runs on JavaScript code, which is slower than that of the Linux files.
spec.fly needs the image, or a build from the sources.
`;

/** Writes the archive into `file`. */
export async function writeNodeBundle(
  file: string,
  { version, epoch, bundles, licence, work }: NodeBundleParts,
): Promise<void> {
  const folder = join(work, 'node-bundle');
  mkdirSync(join(folder, 'bin'), { recursive: true });
  cpSync(bundles, join(folder, 'lib'), {
    recursive: true,
    filter: (name) => !/\.(?:map|node)$|-(?:helper|init)$/.test(name),
  });
  // The program goes by the name of the file that was started.
  for (const name of ['portforward', 'kubectl-portforward', 'kubectl_complete-portforward']) {
    writeFileSync(join(folder, 'bin', `${name}.cjs`), start, { mode: 0o755 });
  }
  writeFileSync(join(folder, 'README.txt'), readme(version));
  copyFileSync(licence, join(folder, 'LICENSE'));
  const about = {
    name: 'portforward',
    version,
    description: 'Tunnels to private databases: the command for laptops',
    license: 'Apache-2.0',
    bin: {
      portforward: 'bin/portforward.cjs',
      'kubectl-portforward': 'bin/kubectl-portforward.cjs',
      'kubectl_complete-portforward': 'bin/kubectl_complete-portforward.cjs',
    },
    engines: { node: `>=${neededNode}` },
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(about, undefined, 2)}\n`);
  const tar = join(work, 'node-bundle.tar');
  await writeTar(tar, { directory: folder, epoch, prefix: 'package/' });
  writeFileSync(file, gzipped(tar));
}
