// The tunnel's own WireGuard peer at fly.io: made, kept over a restart of the container, judged, replaced and removed. One key pair for each
// pod, because a gateway sends to whoever used a key last.
// Neighbours: api/operations.ts asks fly.io, driver.ts decides when; session.ts carries over the peer.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FlyApi, Network } from './api/operations.ts';

export interface Peer {
  readonly name: string;
  readonly organizationId: string;
  readonly organization: string;
  readonly network: string;
  /** Base64, 32 bytes. */
  readonly privateKey: string;
  readonly address: string;
  readonly endpoint: string;
  readonly gatewayKey: string;
  /** The region of the document; empty: the nearest. */
  readonly region: string;
  /** The region that was asked for; empty: fly.io's choice. */
  readonly gatewayRegion: string;
}

const peerSchema = z.object({
  name: z.string(),
  organizationId: z.string(),
  organization: z.string(),
  network: z.string(),
  privateKey: z.string(),
  address: z.string(),
  endpoint: z.string(),
  gatewayKey: z.string(),
  region: z.string(),
  gatewayRegion: z.string(),
});

const fileName = 'peer.json';

const maxTunnelName = 60;

/** The names of a pod's peers: letters, digits and dashes. They share their start, so that a pod knows its own leftovers. */
export function peerNames(owner: { readonly namespace: string; readonly name: string; readonly podUid: string }) {
  const clean = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9-]+/g, '-');
  // Long names of Kubernetes are cut: the UID alone makes the peer the pod's.
  const tunnel = clean(`${owner.namespace}-${owner.name}`).slice(0, maxTunnelName);
  const own = `portforward-${tunnel}-${clean(owner.podUid)}-`;
  return { own, next: () => `${own}${randomBytes(3).toString('hex')}` };
}

export interface PeerWanted extends Network {
  readonly name: string;
  readonly region: string;
  readonly gatewayRegion: string;
}

/** A new key pair and the peer for it. @throws TunnelError as FlyApi.addPeer does */
export async function makePeer(
  api: Pick<FlyApi, 'addPeer'>,
  wanted: PeerWanted,
  options: { readonly signal: AbortSignal },
): Promise<Peer> {
  const { publicKey, privateKey } = newKeys();
  const made = await api.addPeer({ ...wanted, region: wanted.gatewayRegion, publicKey }, options);
  return { ...wanted, privateKey, ...made };
}

/** The peer that an earlier process of this pod kept, if it fits what is wanted. */
export async function keptPeer(
  directory: string | undefined,
  wanted: { readonly own: string; readonly region: string },
): Promise<Peer | undefined> {
  if (directory === undefined) return undefined;
  try {
    const peer = peerSchema.parse(JSON.parse(await readFile(join(directory, fileName), 'utf8')));
    return peer.name.startsWith(wanted.own) && peer.region === wanted.region ? peer : undefined;
  } catch {
    // Not there, cut off, or of another version: a new one is made, the old one is removed as a leftover.
    return undefined;
  }
}

/** Keeps the peer for the next process of this pod, in memory only: the directory is an emptyDir of medium Memory. */
export async function keepPeer(directory: string | undefined, peer: Peer): Promise<void> {
  if (directory === undefined) return;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, fileName);
  await writeFile(`${file}.new`, JSON.stringify(peer), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** The route of a peer as status shows it: the gateway, and its region where that is known. */
export function viaOf({ endpoint, gatewayRegion }: Peer): string {
  return gatewayRegion === '' ? endpoint : `${endpoint} (${gatewayRegion})`;
}

export async function forgetPeer(directory: string | undefined): Promise<void> {
  if (directory !== undefined) await rm(join(directory, fileName), { force: true });
}

/** X25519, both halves in base64 as WireGuard writes them. */
function newKeys(): { readonly publicKey: string; readonly privateKey: string } {
  const pair = generateKeyPairSync('x25519');
  const base64 = (part: string | undefined): string => Buffer.from(part ?? '', 'base64url').toString('base64');
  const { d, x } = pair.privateKey.export({ format: 'jwk' });
  return { publicKey: base64(x), privateKey: base64(d) };
}
