// `--port 15432:5432`: the local port for each port of the document.
// Neighbour: open.ts.
import { effectivePorts } from '../contract/api/effective.ts';
import type { PortForwardSpec } from '../contract/api/portforward.ts';
import { UsageError } from './usage-error.ts';

/**
 * The local port of every port of the document. Default: the same number. A mapping `LOCAL:PORT` (PORT is the number or the name) chooses
 * another one; LOCAL alone is enough for a document with one port, and 0 means any free port. @throws UsageError.
 */
export function localPorts(spec: PortForwardSpec, mappings: readonly string[]): ReadonlyMap<number, number> {
  const ports = effectivePorts(spec);
  const chosen = new Map(ports.map(({ port }) => [port, port]));
  const known = ports.map(({ port, name }) => `${port} (${name})`).join(', ');
  const mapped = new Set<number>();
  for (const mapping of mappings) {
    const [local = '', wanted, ...rest] = mapping.split(':');
    if (rest.length > 0 || !/^\d{1,5}$/.test(local) || Number(local) > 65535) {
      throw new UsageError(`--port ${mapping}: write LOCAL:PORT, as in 15432:5432`);
    }
    const target = wanted === undefined && ports.length === 1 ? ports[0] : ports.find(named(wanted ?? local));
    if (target === undefined) throw new UsageError(`--port ${mapping}: the document has the ports ${known}`);
    if (mapped.has(target.port)) throw new UsageError(`--port ${mapping}: port ${target.port} is mapped twice`);
    mapped.add(target.port);
    chosen.set(target.port, Number(local));
  }
  return chosen;
}

const named =
  (wanted: string) =>
  ({ port, name }: { readonly port: number; readonly name: string }): boolean =>
    wanted === name || wanted === String(port);
