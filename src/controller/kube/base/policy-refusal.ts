// Which ValidatingAdmissionPolicy refused a write. The API server says it in words only.
// Neighbours: api-error.ts (other refusals).
import { isForbidden } from './api-error.ts';

const sentence = /ValidatingAdmissionPolicy '([^']*)' with binding '/;

/**
 * True for a refusal by a policy of one install. `install` is what the names of its policies begin with; text before it and behind the
 * policy's own name is Kustomize's. False if `install` is empty.
 */
export function isRefusedBy(error: unknown, install: string): boolean {
  return install !== '' && refusingPolicy(error)?.includes(`${install}-`) === true;
}

/** The policy's name; undefined if no policy refused. */
export function refusingPolicy(error: unknown): string | undefined {
  return isForbidden(error) ? sentence.exec(error.message)?.[1] : undefined;
}
