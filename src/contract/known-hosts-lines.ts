// Which lines of a known_hosts text no bastion can ever match, for people who check a document before they apply it. Pure.
// Neighbours: src/cli/check.ts prints them; src/sidecar/drivers/ssh/login/known-hosts.ts reads the lines, and skips these as OpenSSH does.

export interface UnreadableLine {
  /** From 1. */
  readonly number: number;
  /** What is wrong, as a clause. */
  readonly why: string;
}

/** Comments and empty lines are none of them. */
export function unreadableLines(text: string): readonly UnreadableLine[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const why = faultOf(line.trim());
    return why === undefined ? [] : [{ number: index + 1, why }];
  });
}

function faultOf(line: string): string | undefined {
  if (line === '' || line.startsWith('#')) return undefined;
  const fields = line.split(/\s+/);
  if (line.startsWith('@') && !['@revoked', '@cert-authority'].includes(fields.shift() ?? '')) {
    return 'its marker is neither @revoked nor @cert-authority';
  }
  const [, type, key] = fields;
  if (type === undefined || key === undefined) {
    return 'it is not made of a host, a key type and a key, as ssh-keyscan prints them';
  }
  return typeInside(key) === type ? undefined : 'its key is cut off or not of the type that stands before it';
}

/** The type that a key in base64 begins with (RFC 4253 §6.6); '' if it is none. */
function typeInside(base64: string): string {
  try {
    const bytes = atob(base64);
    const length = bytes.charCodeAt(2) * 256 + bytes.charCodeAt(3);
    return bytes.slice(4, 4 + length);
  } catch {
    return '';
  }
}
