// How a condition speaks: the sentence of whoever saw the problem, and the remedy.
// Neighbours: contract/error-codes.ts (the remedies), conditions.ts.
import { errorCodes } from '../../contract/error-codes.ts';
import type { Code } from '../../contract/errors.ts';

/** Something that is wrong: a word to search for and a sentence. */
export interface Problem {
  /** A code of contract/error-codes.ts, a reason of contract/api/condition.ts, or one that only a newer sidecar knows. */
  readonly reason: string;
  readonly message: string;
}

const isCode = (reason: string): reason is Code => Object.hasOwn(errorCodes, reason);

/** True if only a person can fix it; an unknown reason counts as transient. */
export const isPermanent = ({ reason }: Problem): boolean => isCode(reason) && errorCodes[reason].permanent;

/** True if the API server failed, which says nothing about the document or the objects that exist. */
export const isApiServerError = ({ reason }: Problem): boolean => reason === ('ApiServerError' satisfies Code);

/**
 * The problem with the remedy of its code at the end of its message. Problems at the bastion and behind it come from the sidecar, whose
 * sentences name the remedy already.
 */
export function withRemedy(problem: Problem): Problem {
  const { reason, message } = problem;
  if (!isCode(reason)) return problem;
  const { remedy, layer } = errorCodes[reason];
  if (message !== '' && (message.includes(remedy) || layer === 'bastion' || layer === 'destination')) return problem;
  if (message === '') return { reason, message: remedy };
  return { reason, message: `${message}${/[.!?]$/.test(message) ? '' : '.'} ${remedy}` };
}
