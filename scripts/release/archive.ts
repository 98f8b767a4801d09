// Tars that are the same for the same content, whoever makes them and when. Neighbours: image.ts, chart.ts, one-file.ts.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { command } from '../../lab/process/command.ts';

export interface TarOptions {
  /** The directory whose content it is. */
  readonly directory: string;
  /** Seconds since 1970 of every file in it. */
  readonly epoch: number;
  /** What is taken, in the directory; default: everything. */
  readonly members?: readonly string[];
  /** Stands before every name in the archive, as in `app/`. */
  readonly prefix?: string;
}

export async function writeTar(
  file: string,
  { directory, epoch, members = ['.'], prefix = '' }: TarOptions,
): Promise<void> {
  const same = ['--format=ustar', '--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${epoch}`];
  const modes = ['--mode=u=rwX,go=rX'];
  const names = prefix === '' ? [] : [`--transform=s,^\\./\\?,${prefix},S`];
  await command('tar', ['--create', '--file', file, ...same, ...modes, ...names, '--directory', directory, ...members]);
}

/** The file, compressed without a time or a name in it. */
export function gzipped(file: string): Buffer {
  return gzipSync(readFileSync(file), { level: 9 });
}
