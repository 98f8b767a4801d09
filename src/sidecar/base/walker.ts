// The name under which a walk of `doctor` in a pod opens things at a cloud: the pod's, and a mark of this process. So nothing of a walk is
// taken for the tunnel's, and what a walk left behind because its process was killed is known to the next process of the pod.
// Neighbours: doctor/doctor-server.ts walks; drivers/fly/own-peers.ts and drivers/ssm/aws/leftovers.ts remove what is left.
import { randomBytes } from 'node:crypto';

const mark = randomBytes(3).toString('hex');

/** In place of the pod's UID. */
export const walkerOf = (podUid: string): string => `${podUid}-walk-${mark}`;

/** Whether a name is of a walk of an earlier process of that owner. */
export const isOfEarlierWalk = (owner: string, name: string): boolean =>
  name.startsWith(`${owner}-walk-`) && !isOfOwnWalk(name);

/** Whether a name is of a walk of this process, which may be under way. */
export const isOfOwnWalk = (name: string): boolean => name.includes(`-walk-${mark}`);
