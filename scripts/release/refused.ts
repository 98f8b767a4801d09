// What a release stops at for a reason that its caller can remove. Neighbour: ../release.ts prints the sentence without a stack.

/** The message is a sentence that says what to do. */
export class Refused extends Error {
  override readonly name = 'Refused';
}
