// The parts of ssh2 1.17.0 that are not its public API and that ssh2-hardening.ts, alone, relies on.

declare module 'ssh2/lib/protocol/utils.js' {
  const utils: {
    sendPacket(protocol: object, packet: Buffer): boolean;
    convertSignature(signature: Buffer, keyType: string): Buffer | false | undefined;
  };
  export default utils;
}

declare module 'ssh2/lib/protocol/crypto.js' {
  const crypto: { readonly bindingAvailable: boolean };
  export default crypto;
}
