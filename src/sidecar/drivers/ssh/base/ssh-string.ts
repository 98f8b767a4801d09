// The data types of ssh's binary formats (RFC 4251 §5): keys, certificates and packets are made of them. Pure.
// Neighbours: login/private-key.ts, login/certificate.ts, login/known-hosts.ts (keys and certificates), ssh2-login.ts (packets).

/** A `string`: its length in 32 bits, then its bytes. Text becomes UTF-8. */
export function sshString(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** An `mpint`: the shortest big-endian form, with a zero in front if the number would look negative. `bytes` is an unsigned number. */
export function sshNumber(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const short = bytes.subarray(start);
  return sshString((short[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), short]) : short);
}

/** The `string` at `at` as ASCII text; undefined if the bytes end before it does. */
export function leadingString(bytes: Buffer, at = 0): string | undefined {
  try {
    return new SshReader(bytes, at).string().toString('latin1');
  } catch {
    return undefined;
  }
}

/** Reads one value after the other. Each method throws a RangeError if the bytes end before the value does. */
export class SshReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** The bytes of a `string`; shares their memory. */
  string(): Buffer {
    const length = this.uint32();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('a string is longer than what is left');
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }

  uint32(): number {
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  uint64(): bigint {
    const value = this.#bytes.readBigUInt64BE(this.#at);
    this.#at += 8;
    return value;
  }
}
