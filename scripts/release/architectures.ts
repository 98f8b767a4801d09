// The two architectures of a release, by the names that Node, OCI and Debian's compilers have for them.
// Neighbours: every step of a release that is done once for each.

export interface Architecture {
  /** Node's name. */
  readonly node: 'x64' | 'arm64';
  /** The name in an image index. */
  readonly oci: 'amd64' | 'arm64';
  /** What the names of Debian's compilers begin with, and the package that has them on the other architecture; on this one it is g++. */
  readonly triple: string;
  readonly compilerPackage: string;
  /** The oldest version of glibc's symbols there is. */
  readonly firstGlibc: string;
}

export const architectures = [
  {
    node: 'x64',
    oci: 'amd64',
    triple: 'x86_64-linux-gnu',
    compilerPackage: 'g++-x86-64-linux-gnu',
    firstGlibc: 'GLIBC_2.2.5',
  },
  {
    node: 'arm64',
    oci: 'arm64',
    triple: 'aarch64-linux-gnu',
    compilerPackage: 'g++-aarch64-linux-gnu',
    firstGlibc: 'GLIBC_2.17',
  },
] as const satisfies readonly Architecture[];
