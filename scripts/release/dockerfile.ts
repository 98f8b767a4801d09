// What the Dockerfile says about how the image runs, so that a release's image and one that is built from the Dockerfile run alike.
// Neighbours: Dockerfile (its first stage), image.ts.

export interface RunConfig {
  readonly Labels: Readonly<Record<string, string>>;
  readonly Env: readonly string[];
  readonly WorkingDir: string;
  readonly User: string;
  readonly Entrypoint: readonly string[];
}

/** The settings of the stage `runtime`. @throws Error for an instruction that is not known here: the two images would differ. */
export function runConfigOf(dockerfile: string): RunConfig {
  const lines = dockerfile
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n');
  const begin = lines.findIndex((line) => /^FROM .* AS runtime$/.test(line));
  if (begin < 0) throw new Error('the Dockerfile has no stage called runtime');
  const rest = lines.slice(begin + 1);
  const end = rest.findIndex((line) => line.startsWith('FROM '));
  let config: RunConfig = { Labels: {}, Env: [], WorkingDir: '/', User: '', Entrypoint: [] };
  for (const line of rest.slice(0, end).filter((each) => each.trim() !== '')) {
    const [, instruction = '', value = ''] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    config = { ...config, ...settingOf(instruction, value) };
  }
  return config;
}

function settingOf(instruction: string, value: string): Partial<RunConfig> {
  switch (instruction) {
    case 'LABEL':
      return { Labels: Object.fromEntries(pairsOf(value)) };
    case 'ENV':
      return { Env: pairsOf(value).map(([name, text]) => `${name}=${text}`) };
    case 'WORKDIR':
      return { WorkingDir: value };
    case 'USER':
      return { User: value };
    case 'ENTRYPOINT':
      return { Entrypoint: JSON.parse(value) as string[] };
    default:
      throw new Error(
        `the Dockerfile's stage runtime has ${instruction}, which scripts/release/dockerfile.ts does not know`,
      );
  }
}

function pairsOf(text: string): [name: string, value: string][] {
  return [...text.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S+))/g)].map(([, name = '', quoted, plain = '']) => [
    name,
    quoted ?? plain,
  ]);
}
