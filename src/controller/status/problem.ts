// How a condition speaks: the sentence of whoever saw the problem, and what mends it.
// Neighbours: contract/errors.ts (the mends), conditions.ts.
import { type Code, errorCodes } from '../../contract/errors.ts';

/** Something that is wrong: a word to search for and a sentence. */
export interface Problem {
  /** A code of contract/errors.ts, or one that only a newer sidecar knows. */
  readonly reason: string;
  readonly message: string;
}

const isCode = (reason: string): reason is Code => Object.hasOwn(errorCodes, reason);

/** Whether only a person can mend it; a reason that we do not know counts as transient. */
export const isPermanent = ({ reason }: Problem): boolean => isCode(reason) && errorCodes[reason].permanent;

/** Whether the API server just could not do it, which says nothing against the document or the objects that are there. */
export const isApiServerError = ({ reason }: Problem): boolean => reason === ('ApiServerError' satisfies Code);

/**
 * A problem whose message ends with the mend of its code. What happens at the bastion and behind it is told by the sidecar, whose
 * sentences name the mend themselves.
 */
export function withMend(problem: Problem): Problem {
  const { reason, message } = problem;
  if (!isCode(reason)) return problem;
  const { mend, layer } = errorCodes[reason];
  if (message !== '' && (message.includes(mend) || layer === 'bastion' || layer === 'destination')) return problem;
  if (message === '') return { reason, message: mend };
  return { reason, message: `${message}${/[.!?]$/.test(message) ? '' : '.'} ${mend}` };
}
