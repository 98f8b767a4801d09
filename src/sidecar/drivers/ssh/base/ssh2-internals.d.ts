// The parts of ssh2 1.17.0 outside its public API that the files ssh2-*.ts, and no others, use.

declare module 'ssh2/lib/protocol/utils.js' {
  const utils: {
    sendPacket(protocol: object, packet: Buffer): boolean;
    convertSignature(signature: Buffer, keyType: string): Buffer | false | undefined;
  };
  export default utils;
}

declare module 'ssh2/lib/protocol/crypto.js' {
  const crypto: {
    readonly bindingAvailable: boolean;
    readonly CIPHER_INFO: Readonly<Record<string, object>>;
    createCipher(config: { readonly outbound: object }): { readonly _instance?: { key?(): Buffer }; free(): void };
  };
  export default crypto;
}
