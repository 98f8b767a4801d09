// Sources → dist/: CommonJS bundles that run without node_modules (an ESM bundle of ssh2 dies on __dirname), one for the command line,
// one for each part that it loads and some for the packages that few tunnels need, so that a process reads only what it runs. ssh2's native crypto lies beside them.
// So do process 1 of the image, and the helper of the fly driver where there is a Go to build it with. `--output DIR` puts all of it elsewhere.
// Neighbours: src/main.ts (names the parts by its lazy imports), Dockerfile (takes dist/ as it is), build/bundling.ts (options for esbuild).
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { bundling, onlyUsed } from './build/bundling.ts';
import { buildFlyHelper, helperName } from './build/fly-helper.ts';
import { buildInit, initName } from './build/init.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    output: { type: 'string', default: join(root, 'dist') },
    /** The Dockerfile builds the fly driver's helper in a stage of its own. */
    'without-fly': { type: 'boolean', default: false },
  },
});
const output = resolve(values.output);
// Built beside and then put in its place, so that nobody ever finds half of it.
const workshop = join(root, `dist.${process.pid}`);
const main = join(root, 'src', 'main.ts');
/** Files of the first bundle whose lazy imports are bundles of their own. */
const loaders = new Set(['main.ts', 'document-commands.ts'].map((name) => join(root, 'src', name)));
const used = onlyUsed();
const common: BuildOptions = { ...bundling(), outdir: workshop };

/** Collects what src/main.ts and document-commands.ts import lazily, by bundle name, and leaves those imports in place. */
function partsOf(parts: Map<string, string>): Plugin {
  return {
    name: 'parts',
    setup(bundler) {
      bundler.onResolve({ filter: /^\.\// }, ({ kind, importer, path, resolveDir }) => {
        if (kind !== 'dynamic-import' || !loaders.has(importer)) return undefined;
        const name = basename(path, '.ts');
        parts.set(name, join(resolveDir, path));
        return { path: `./${name}.cjs`, external: true };
      });
    },
  };
}

/** AWS's share most of their code, so they have one bundle; every other package has its own. */
const libraryBundle = (library: string): string => (/^@(aws-sdk|smithy)\//.test(library) ? 'libraries' : library);

/** Collects the packages that sources import lazily; they are taken from bundles of their own then: an ssh tunnel that reads AWS's needs 6 MB more. */
function librariesOf(libraries: Set<string>): Plugin {
  return {
    name: 'libraries',
    setup(bundler) {
      bundler.onResolve({ filter: /^[^.]/ }, ({ kind, importer, path }) => {
        if (kind !== 'dynamic-import' || !importer.startsWith(join(root, 'src'))) return undefined;
        libraries.add(path);
        return { path, namespace: 'library' };
      });
      bundler.onLoad({ filter: /./, namespace: 'library' }, ({ path }) => ({
        contents: `module.exports = require('./${libraryBundle(path)}.cjs')[${JSON.stringify(path)}]`,
      }));
      bundler.onResolve({ filter: /./, namespace: 'library' }, ({ path }) => ({ path, external: true }));
    },
  };
}

// Ctrl-C leaves nothing of it, and neither does a build that was killed, once the next one begins.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.once(signal, () => {
    rmSync(workshop, { recursive: true, force: true });
    process.exit(code);
  });
}
for (const left of globSync('dist.[0-9]*', { cwd: root })) {
  if (existsSync('/proc') && !existsSync(`/proc/${left.slice('dist.'.length)}`))
    rmSync(join(root, left), { recursive: true, force: true });
}

const engineName = 'engine.node';
const parts = new Map<string, string>();
const libraries = new Set<string>();
try {
  await build({ ...common, entryPoints: { portforward: main }, plugins: [used.plugin, partsOf(parts)] });
  // A worker thread starts from a file of its own, which the code that starts it finds beside its bundle.
  const workers = globSync('src/**/*-worker.ts', { cwd: root }).map((file) => [
    basename(file, '.ts'),
    join(root, file),
  ]);
  const entryPoints = Object.fromEntries([...parts, ...workers]);
  await build({ ...common, entryPoints, plugins: [used.plugin, librariesOf(libraries)] });
  const libraryBundles = Map.groupBy(libraries, libraryBundle);
  for (const [bundle, names] of libraryBundles) {
    // Each is run when it is asked for.
    const getters = names.map((name) => `get ${JSON.stringify(name)}() { return require(${JSON.stringify(name)}); }`);
    const contents = `module.exports = { ${getters.join(', ')} };`;
    await build({ ...common, stdin: { contents, resolveDir: root, sourcefile: `${bundle}.js` }, entryNames: bundle });
  }
  used.requireAll();

  requireNarrow();
  const isWithEngine = copyEngine();
  const init = process.platform === 'linux' ? await buildInit(workshop) : undefined;
  const helper = values['without-fly'] ? false : await withFlyHelper();
  // A bundle without its native crypto works, slowly and without a word: so it is asked.
  const ask = [join(workshop, 'portforward.cjs'), 'version', '--check-crypto'];
  const { status, stdout, stderr } = spawnSync(process.execPath, ask, { encoding: 'utf8' });
  if (status !== 0) {
    console.error(stderr.trim());
    console.error(
      'The bundle has no native crypto: install a C++ compiler, make and Python 3 with pip, and call this again.',
    );
    process.exitCode = 1;
  } else {
    console.log(stdout.trim());
    rmSync(output, { recursive: true, force: true });
    if (dirname(output) === root) renameSync(workshop, output);
    // Another folder may be on another file system.
    else cpSync(workshop, output, { recursive: true });
    const names = [
      ...[...parts.keys(), ...libraryBundles.keys()].map((name) => `${name}.cjs`),
      ...(helper ? [helperName] : []),
    ];
    if (isWithEngine) names.push(engineName);
    if (init !== undefined) names.push(initName);
    console.log(`${basename(output)}/: portforward.cjs, ${names.join(', ')}`);
  }
} finally {
  rmSync(workshop, { recursive: true, force: true });
}

/**
 * V8 keeps the text of a program while it runs: two bytes for each character once a single one is beyond Latin-1, 2.6 MB more for a sidecar.
 * esbuild writes them as escapes, except in regular expressions. @throws Error
 */
function requireNarrow(): void {
  for (const name of globSync('*.cjs', { cwd: workshop })) {
    const found = /.{0,40}[\u0100-\u{10FFFF}].{0,40}/u.exec(readFileSync(join(workshop, name), 'utf8'));
    if (found !== null) throw new Error(`${name}: write \\uXXXX in the regular expression of ${found[0]}`);
  }
}

/** The engine of the ssh data path, which run.mjs has compiled; false where it could not, and everything works without it. */
function copyEngine(): boolean {
  const engine = join(root, 'native', 'build', engineName);
  if (!existsSync(engine)) return false;
  cpSync(engine, join(workshop, engineName));
  return true;
}

/** False where there is no Go to build it with: everything but spec.fly works without it. */
async function withFlyHelper(): Promise<boolean> {
  try {
    await buildFlyHelper(workshop, { log: (line) => console.log(line) });
    return true;
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    console.error(`fly is left out, so tunnels with spec.fly report HelperMissing: ${reason}`);
    return false;
  }
}
