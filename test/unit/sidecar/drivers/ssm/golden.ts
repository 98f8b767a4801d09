// The golden vectors with their types. The tests of message, payload, smux frames, signature and round-trip time read them.
import { readFileSync } from 'node:fs';

export interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly hex: string;
  readonly text?: string;
  readonly fields?: {
    readonly headerLength: number;
    readonly messageType: string;
    readonly createdDate: number;
    readonly sequenceNumber: number;
    readonly flags: number;
    readonly messageId: string;
    readonly payloadDigest: string;
    readonly payloadType: number | null;
    readonly payloadHex: string;
    readonly payloadUtf8: string | null;
  };
}

interface Golden {
  readonly thirdPartyCapture: { readonly hex: string; readonly uuid: string };
  readonly vectors: readonly Vector[];
  readonly sigv4: {
    readonly url: string;
    readonly region: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: string;
    readonly amzDate: string;
    readonly authorization: string;
  };
  readonly rto: {
    readonly initial: RoundTrip;
    readonly runs: readonly (readonly (RoundTrip & { readonly sampleMs: number })[])[];
  };
}

interface RoundTrip {
  readonly srttMs: number;
  readonly rttvarMs: number;
  readonly rtoMs: number;
}

export const golden = JSON.parse(readFileSync(new URL('golden-vectors.json', import.meta.url), 'utf8')) as Golden;

/** The bytes of the vector of that name. */
export function vector(name: string): Buffer {
  const found = golden.vectors.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no vector is called ${name}`);
  return Buffer.from(found.hex, 'hex');
}

/** The payload inside the message vector of that name. */
export function vectorPayload(name: string): Buffer {
  return Buffer.from(golden.vectors.find((one) => one.name === name)?.fields?.payloadHex ?? '', 'hex');
}
