// Where a release comes from: an in-toto statement with SLSA's predicate. It is not signed: whoever changes a file can change it too. It says
// what was built from what, and cannot say that it was.
// Sources: in-toto.io/Statement/v1, slsa.dev/provenance/v1. Neighbours: ../release.ts (what it is told), base-image.ts.
import { packages } from './npm-packages.ts';

export interface Subject {
  readonly name: string;
  /** `sha256:…` */
  readonly digest: string;
}

export interface ProvenanceFacts {
  readonly version: string;
  /** The files of the release, and what lies in the OCI archives. */
  readonly subjects: readonly Subject[];
  readonly commit: string;
  /** Whether the sources differed from the commit. */
  readonly changed: boolean;
  readonly base: { readonly name: string; readonly digest: string };
  readonly lockDigest: string;
}

/** The statement as text. */
export function provenance({ version, subjects, commit, changed, base, lockDigest }: ProvenanceFacts): string {
  const sha256 = (digest: string): { sha256: string } => ({ sha256: digest.replace(/^sha256:/, '') });
  const nodes = Object.entries(packages).map(([name, { version: pinned, integrity }]) => ({
    uri: `pkg:npm/${name}@${pinned}`,
    digest: { sha512: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') },
  }));
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: subjects.map(({ name, digest }) => ({ name, digest: sha256(digest) })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'https://portforward.dev/release/v1',
        externalParameters: { version, base: base.name },
        resolvedDependencies: [
          { name: 'sources', digest: { gitCommit: commit }, annotations: { changed } },
          { name: 'base image', uri: base.name, digest: sha256(base.digest) },
          { name: 'package-lock.json', digest: sha256(lockDigest) },
          ...nodes,
        ],
      },
      runDetails: { builder: { id: 'https://portforward.dev/release/v1/unsigned' } },
    },
  };
  return `${JSON.stringify(statement, undefined, 2)}\n`;
}
