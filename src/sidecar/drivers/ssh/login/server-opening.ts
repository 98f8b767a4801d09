// What a far side says before anything is encrypted: lines of text, its version line, and the algorithms that it offers (RFC 4253 §4.2, §7.1).
// ssh2 keeps none of it, and an exact sentence needs it. Never throws. Neighbours: handshake.ts feeds it, handshake-error.ts reads it.
import { SshReader } from '../base/ssh-string.ts';

/** What the far side offers in its first KEXINIT, in its order. */
export interface ServerOffer {
  readonly keyExchanges: readonly string[];
  readonly hostKeys: readonly string[];
  readonly ciphers: readonly string[];
  readonly macs: readonly string[];
}

/** Lines before the version line and one packet: more is not kept. */
const keptBytes = 128 * 1024;
const kexInit = 20;
const cookieBytes = 16;

export class ServerOpening {
  #bytes = Buffer.alloc(0);
  #isOver = false;
  #text = '';
  #hasVersion = false;
  #version = '';
  #offer: ServerOffer | undefined;

  /** The first bytes, or the lines before the version line, as text of at most 200 characters. */
  get text(): string {
    return this.#text;
  }

  /** The version line without its line end; at most its 255 characters (RFC 4253 §4.2). */
  get version(): string {
    return this.#version;
  }

  get hasVersion(): boolean {
    return this.#hasVersion;
  }

  get offer(): ServerOffer | undefined {
    return this.#offer;
  }

  /** Bytes as they arrive; later ones than the first KEXINIT are ignored. */
  read(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    this.#parse();
    if (this.#offer !== undefined || this.#bytes.length > keptBytes) {
      this.#isOver = true;
      this.#bytes = Buffer.alloc(0);
    }
  }

  #parse(): void {
    const start = this.#bytes.indexOf('SSH-') === 0 ? 0 : this.#bytes.indexOf('\nSSH-') + 1;
    const isVersion = start > 0 || this.#bytes.subarray(0, 4).equals(Buffer.from('SSH-'));
    this.#text = this.#bytes.toString('latin1', 0, Math.min(200, isVersion && start > 0 ? start : 200));
    const end = isVersion ? this.#bytes.indexOf('\n', start) : -1;
    if (end === -1) return;
    this.#hasVersion = true;
    this.#version = this.#bytes.toString('latin1', start, Math.min(end, start + 255)).trimEnd();
    this.#offer = offerIn(this.#bytes.subarray(end + 1));
  }
}

function offerIn(packet: Buffer): ServerOffer | undefined {
  try {
    const type = packet[5];
    if (packet.length < 4 + packet.readUInt32BE(0) || type !== kexInit) return undefined;
    const reader = new SshReader(packet, 6 + cookieBytes);
    const names = (): readonly string[] => reader.string().toString('latin1').split(',');
    const [keyExchanges, hostKeys, , ciphers, , macs] = [names(), names(), names(), names(), names(), names()];
    return { keyExchanges, hostKeys, ciphers, macs };
  } catch {
    return undefined;
  }
}
