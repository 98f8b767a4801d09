// The name under which a walk of `doctor` in a pod opens things at a cloud: the pod's, and a mark of this process. So nothing of a walk is
// taken for the tunnel's, and what a walk left behind because its process was killed is known to the next process of the pod.
// Neighbours: doctor/doctor-server.ts walks; drivers/fly/removals.ts and drivers/ssm/aws/leftovers.ts remove what is left.
import { randomBytes } from 'node:crypto';

const mark = randomBytes(3).toString('hex');
const walks = { underWay: 0, ended: 0 };

/** In place of the pod's UID. */
export const walkerOf = (podUid: string): string => `${podUid}-walk-${mark}`;

/** A walk begins; it ends when this is disposed of. */
export function walkBegins(): Disposable {
  walks.underWay += 1;
  return {
    [Symbol.dispose]: () => {
      walks.underWay -= 1;
      walks.ended += 1;
    },
  };
}

/** Whether a name is of a walk of an earlier process of that owner. */
export const isOfEarlierWalk = (owner: string, name: string): boolean =>
  name.startsWith(`${owner}-walk-`) && !isOfOwnWalk(name);

/** Whether a name is of a walk of this process. */
export const isOfOwnWalk = (name: string): boolean => name.includes(`-walk-${mark}`);

/** Whether a name is of a walk that may still use what has it. */
export const isOfWalkUnderWay = (name: string): boolean => walks.underWay > 0 && isOfOwnWalk(name);

/** Whether a walk of this process has ended: what it could not remove is there under its name. */
export const haveWalksEnded = (): boolean => walks.ended > 0;
