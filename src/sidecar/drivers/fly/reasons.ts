// What the helper refuses, by its kind, as a reason of ours: a dial, or the look-up of a name. The helper's own text is for the log.
// Neighbours: session.ts dials, helper/helper-error.ts has the kind, which commands.go, names.go and streams.go name.
import { type Code, TunnelError } from '../../../contract/errors.ts';
import { HelperError } from './helper/helper-error.ts';

const dialCodes: Readonly<Record<string, readonly [Code, string]>> = {
  refused: ['DestinationRefused', 'refuses the connection: start the service, or correct the port'],
  reset: ['DestinationRefused', 'breaks the connection: start the service, or correct the port'],
  timeout: ['DestinationTimeout', 'does not answer: look at the service there'],
  unreachable: ['DestinationUnreachable', 'cannot be reached in the private network'],
};

/** Why an address of the network could not be dialled. */
export function dialError(error: unknown, where: string, via: string): TunnelError {
  const [code, sentence] = (error instanceof HelperError ? dialCodes[error.kind] : undefined) ?? [
    'TunnelDown',
    'could not be dialled',
  ];
  return new TunnelError(code, `${where} ${sentence} (through ${via})`, { cause: error });
}

/** Why a name of the network gave no address. */
export function nameError(error: unknown, host: string, via: string): TunnelError {
  if (error instanceof HelperError && error.kind === 'notFound') {
    return new TunnelError(
      'NoRunningMachines',
      `${host} has no address in the private network: start a Machine of the app, or use its .flycast address`,
      { cause: error },
    );
  }
  if (error instanceof HelperError && error.kind === 'nameServer') {
    const sentence = `the private network’s name server fails for ${host} (through ${via}): correct the name, or wait`;
    return new TunnelError('DestinationNameNotResolved', sentence, { cause: error });
  }
  const sentence = `the private network’s name server did not answer for ${host} (through ${via})`;
  return new TunnelError('TunnelDown', sentence, { cause: error });
}
