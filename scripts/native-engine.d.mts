import type { SpawnOptions } from 'node:child_process';

export declare function addonSources(): string[];
export declare function testSources(): string[];
export declare const addonFlags: readonly string[];
export declare const addonLink: readonly string[];
export declare const sanitizerFlags: readonly string[];
export declare function sourcesDigest(...more: readonly string[]): string;
export declare function compile(
  sources: readonly string[],
  file: string,
  options?: {
    readonly compiler?: string;
    readonly options?: readonly string[];
    readonly link?: readonly string[];
    readonly env?: NodeJS.ProcessEnv;
    readonly run?: (program: string, args: readonly string[], options: SpawnOptions) => Promise<number | undefined>;
  },
): Promise<boolean>;
