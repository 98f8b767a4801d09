// What a release stops at for a reason that its caller can remove. Neighbour: lab/process/script.ts prints the sentence and ends with 2.
import { WrongCall } from '../../lab/process/script.ts';

/** The message is a sentence that says what to do. */
export class Refused extends WrongCall {
  override readonly name = 'Refused';
}
