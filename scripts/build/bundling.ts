// What every bundle has in common: CommonJS for the pinned Node, names kept, and of two packages only the part that is used.
// Neighbours: ../build.ts (the parts of the image), ../release/one-file.ts (the laptop's one file).
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BuildOptions, Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..', '..');

/** Options for esbuild without entries and output. The version is the one of package.json. */
export function bundling(): BuildOptions {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return {
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    // Names stay as they are: stack traces in logs can be read, and (measured) a sidecar needs 5 MB less than with names kept beside short ones.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'linked',
    loader: { '.node': 'copy' },
    assetNames: '[name]',
    // Optional and native: ssh2 asks it for CPU features and does without.
    external: ['cpu-features'],
    define: {
      'import.meta.url': 'importMetaUrl',
      'import.meta.dirname': '__dirname',
      'process.env.PORTFORWARD_VERSION': JSON.stringify(version),
    },
    banner: { js: "const importMetaUrl=require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'warning',
    absWorkingDir: root,
  };
}

/** Modules that only pass on others, and what is taken of them. Another name that is imported from one of them ends the build. */
const taken: readonly { readonly module: RegExp; readonly contents: string }[] = [
  // zod brings its sentences in fifty languages; English alone saves a sidecar 3 MB.
  { module: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/, contents: "export { default as en } from './en.js';" },
  // The client library brings a class for each kind of Kubernetes. Only its reading of kubeconfigs runs here.
  {
    module: /[\\/]@kubernetes[\\/]client-node[\\/]dist[\\/]index\.js$/,
    contents: "export { KubeConfig } from './config.js';",
  },
  {
    module: /[\\/]@kubernetes[\\/]client-node[\\/]dist[\\/]gen[\\/]index\.js$/,
    contents:
      "export { createConfiguration } from './configuration.js'; export { ServerConfiguration } from './servers.js';",
  },
];

export interface OnlyUsed {
  readonly plugin: Plugin;
  /** Call it after the last bundle. @throws Error with each module that was in none of them: a package has moved it, and is bundled whole now */
  requireAll(): void;
}

/** Leaves out what packages load for others, and what esbuild must keep because loading it might do something. */
export function onlyUsed(): OnlyUsed {
  const missing = new Set(taken.map(({ module }) => module));
  const plugin: Plugin = {
    name: 'only-used',
    setup(bundler) {
      for (const { module, contents } of taken) {
        bundler.onLoad({ filter: module }, ({ path }) => {
          missing.delete(module);
          return { contents, resolveDir: dirname(path) };
        });
      }
    },
  };
  const requireAll = (): void => {
    if (missing.size === 0) return;
    const names = [...missing].map((module) => module.source).join(', ');
    throw new Error(`no bundle loads what scripts/build/bundling.ts takes a part of: ${names}`);
  };
  return { plugin, requireAll };
}
