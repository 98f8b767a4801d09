// The chart of a release: Helm's package, and the same package as the OCI artifact that `helm push` would make of it.
// Neighbours: helm/ (its sources), oci-layout.ts. Source of the artifact's form: helm.sh/docs/topics/registries.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { command } from '../../lab/process/command.ts';
import { gzipped, writeTar } from './archive.ts';
import { type Descriptor, mediaType, OciLayout } from './oci-layout.ts';

const configType = 'application/vnd.cncf.helm.config.v1+json';
const contentType = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';

export interface ChartParts {
  readonly helm: string;
  /** The chart's folder. */
  readonly chart: string;
  readonly version: string;
  readonly epoch: number;
  readonly work: string;
}

/** Writes Helm's package into `file`: what `helm package` judged and chose, with the release's time instead of the present one. */
export async function writeChartPackage(
  file: string,
  { helm, chart, version, epoch, work }: ChartParts,
): Promise<void> {
  const folder = join(work, 'chart');
  mkdirSync(folder);
  await command(helm, ['package', chart, '--version', version, '--app-version', version, '--destination', folder]);
  await command('tar', [
    '--extract',
    '--gzip',
    '--file',
    join(folder, `portforward-${version}.tgz`),
    '--directory',
    folder,
  ]);
  const tar = join(work, 'chart.tar');
  await writeTar(tar, { directory: folder, epoch, members: ['portforward'] });
  writeFileSync(file, gzipped(tar));
}

/** Writes the layout of the packaged chart into `directory`, named by its version. */
export function writeChartArtifact(directory: string, chartPackage: string, { chart, epoch }: ChartParts): Descriptor {
  const layout = OciLayout.create(directory);
  const about = parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8')) as {
    name: string;
    description: string;
    version: string;
  };
  const content = layout.add(readFileSync(chartPackage), contentType);
  const manifest = layout.addJson(
    {
      schemaVersion: 2,
      mediaType: mediaType.manifest,
      config: layout.addJson(about, configType),
      layers: [{ ...content, annotations: { 'org.opencontainers.image.title': basename(chartPackage) } }],
      annotations: {
        'org.opencontainers.image.title': about.name,
        'org.opencontainers.image.version': about.version,
        'org.opencontainers.image.description': about.description,
        'org.opencontainers.image.created': new Date(epoch * 1000).toISOString(),
      },
    },
    mediaType.manifest,
  );
  layout.name(manifest, about.version);
  return manifest;
}
