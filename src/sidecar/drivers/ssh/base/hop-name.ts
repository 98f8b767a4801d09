// The name of a hop in sentences. Neighbours: every file of this driver that throws.

import { hostPort } from '../../../../contract/ip-address.ts';
import type { Hop } from '../../../../contract/tunnel-config.ts';

export type HopRole = 'bastion' | 'jump host';

/** `bastion bastion-a.example.com:22` */
export function hopName(role: HopRole, hop: Hop): string {
  return `${role} ${hostPort(hop.host, hop.port)}`;
}
