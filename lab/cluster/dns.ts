// Names outside Kubernetes that the cluster's pods can resolve: a file in the form of /etc/hosts that CoreDNS watches.
// Neighbour: node-config.ts names it in CoreDNS's Corefile; the private network's bastions get their names this way.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Places } from '../base/places.ts';
import { writeWhole } from '../base/whole-file.ts';
import { withLock } from '../process/lock.ts';

export function hostsFile(places: Places): string {
  return join(places.directory, 'dns-hosts');
}

/** Pods resolve `name` to these addresses within 1.5 s; an earlier entry of the name is replaced, no address removes it. */
export async function setHostAddresses(places: Places, name: string, addresses: readonly string[]): Promise<void> {
  const file = hostsFile(places);
  await withLock(`${file}.lock`, async () => {
    const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
    const others = lines.filter((line) => line !== '' && line.split(' ')[1] !== name);
    const content = [...others, ...addresses.map((address) => `${address} ${name}`)]
      .map((line) => `${line}\n`)
      .join('');
    writeWhole(file, content);
  });
}
