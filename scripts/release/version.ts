// What must hold before a version can be released: it is SemVer, every file that names the version names this one, and the changelog
// tells what is new in it. Neighbours: ../release.ts asks; test/unit/scripts/release.test.ts keeps the files in agreement all the time.
import { Refused } from './refused.ts';

/** The grammar of semver.org, without build metadata: a `+` can stand in no image tag. */
const number = '(?:0|[1-9]\\d*)';
const preRelease = `(?:${number}|\\d*[A-Za-z-][\\dA-Za-z-]*)`;
const semVer = new RegExp(`^${number}\\.${number}\\.${number}(?:-${preRelease}(?:\\.${preRelease})*)?$`);

/** @throws Refused with a sentence. */
export function checkVersion(version: string): void {
  if (semVer.test(version)) return;
  const hint = version.startsWith('v') ? ' without the v' : '';
  throw new Refused(`--version ${version} is no version: give MAJOR.MINOR.PATCH${hint}, as in 1.2.3 or 1.3.0-rc.1`);
}

/** File → the version that it names. */
export type NamedVersions = Readonly<Record<string, string | undefined>>;

/** The versions in the three files that have one; the texts are those of package.json, package-lock.json and helm/Chart.yaml. */
export function namedVersions(files: {
  readonly package: string;
  readonly lock: string;
  readonly chart: string;
}): NamedVersions {
  const { version } = JSON.parse(files.package) as { version?: string };
  const lock = JSON.parse(files.lock) as { version?: string; packages?: Record<string, { version?: string }> };
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}: *"?([^"\\s]+)"?$`, 'm').exec(files.chart)?.[1];
  return {
    'package.json': version,
    'package-lock.json': lock.version,
    'package-lock.json (packages)': lock.packages?.['']?.version,
    'helm/Chart.yaml (version)': field('version'),
    'helm/Chart.yaml (appVersion)': field('appVersion'),
  };
}

/** @throws Refused that lists the files that name another version. */
export function checkAgreement(version: string, named: NamedVersions): void {
  const others = Object.entries(named).filter(([, found]) => found !== version);
  if (others.length === 0) return;
  const list = others.map(([file, found]) => `${file} says ${found ?? 'nothing'}`).join(', ');
  throw new Refused(`the release is ${version}, but ${list}: set the version there (npm version writes both of npm’s)`);
}

/** The lines of the version's section of the changelog, without its heading. @throws Refused if the section is missing or empty. */
export function releaseNotes(changelog: string, version: string, rehearsal = false): string {
  const section = sectionOf(changelog, version) ?? (rehearsal ? sectionOf(changelog, 'Unreleased') : undefined);
  if (section === undefined) {
    throw new Refused(
      `CHANGELOG.md has no section "## ${version}": rename "## Unreleased" to "## ${version} (date)", or add --rehearsal to see what a release would be`,
    );
  }
  if (section === '') throw new Refused(`the section "## ${version}" of CHANGELOG.md is empty: say what is new`);
  return section;
}

function sectionOf(changelog: string, title: string): string | undefined {
  const lines = changelog.split('\n');
  const isHeading = (line: string): boolean => line.startsWith('## ');
  const begin = lines.findIndex((line) => isHeading(line) && line.slice(3).split(/[\s(]/)[0] === title);
  if (begin < 0) return undefined;
  const rest = lines.slice(begin + 1);
  const end = rest.findIndex(isHeading);
  return rest
    .slice(0, end < 0 ? rest.length : end)
    .join('\n')
    .trim();
}
