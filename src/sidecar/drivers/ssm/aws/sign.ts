// The signature of the web socket's upgrade request: AWS's Signature Version 4 in headers, over exactly host, date and session token.
// No I/O. Neighbours: api.ts has the credentials, web-socket.ts sends the headers, aws-endpoint.ts has checked the address before.
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** When they end; whoever keeps them asks anew before. */
  readonly expiration?: Date;
}

export interface SigningOptions {
  readonly region: string;
  readonly credentials: AwsCredentials;
  readonly date: Date;
}

const signedAlready = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/i;

/** The headers that let this upgrade through; none when the address carries its own signature. The address itself is not changed. */
export async function signUpgrade(url: URL, options: SigningOptions): Promise<Record<string, string>> {
  const query: Record<string, string> = {};
  for (const [name, value] of url.searchParams) {
    if (signedAlready.test(name)) return {};
    query[name] = value;
  }
  const signer = new SignatureV4({
    service: 'ssmmessages',
    region: options.region,
    credentials: options.credentials,
    sha256: Sha256,
    applyChecksum: false,
  });
  const { headers } = await signer.sign(
    {
      method: 'GET',
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query,
      headers: { host: url.host },
    },
    { signingDate: options.date },
  );
  const { host: _host, ...signed } = headers;
  return signed;
}

/** SHA-256, keyed or not, in the shape that the signer takes. */
class Sha256 {
  readonly #key: Uint8Array | undefined;
  #hash: Hash | Hmac;

  constructor(key?: string | ArrayBuffer | ArrayBufferView) {
    this.#key = key === undefined ? undefined : bytesOf(key);
    this.#hash = this.#start();
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(bytesOf(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    this.#hash = this.#start();
  }

  #start(): Hash | Hmac {
    return this.#key === undefined ? createHash('sha256') : createHmac('sha256', this.#key);
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
