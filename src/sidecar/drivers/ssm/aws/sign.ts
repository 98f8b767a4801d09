// The signature of the web socket's upgrade request: AWS's Signature Version 4 in headers, over exactly host, date and session token.
// No I/O. Neighbours: api.ts has the credentials, web-socket.ts sends the headers, contract/aws-endpoint.ts has checked the address before.
import { Hash } from '@smithy/core/serde';
import { SignatureV4 } from '@smithy/signature-v4';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** When they expire. */
  readonly expiration?: Date;
}

export interface SigningOptions {
  readonly region: string;
  readonly credentials: AwsCredentials;
  readonly date: Date;
}

const signedAlready = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/i;

/** The headers that authorize this upgrade; none if the address carries its own signature. The address itself is not changed. */
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
    sha256: Hash.bind(null, 'sha256'),
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
