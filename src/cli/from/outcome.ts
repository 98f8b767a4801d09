// What became of a command: the document, the Secret that it needs, and what happened to each option.
// Neighbours: from.ts prints it; ssh-command.ts, aws-command.ts and fly-command.ts make it.

/** kept: it is in the document or the Secret. notNeeded: a tunnel in a cluster does it anyway, or has no use for it. notPossible: it has an effect that is lost. */
export type OptionVerdict = 'kept' | 'notNeeded' | 'notPossible';

/** One option of the command or of a file that it reads. */
export interface OptionOutcome {
  /** As the person wrote it, without values that may be secret: `-L 15432:orders.db:5432`, `ProxyCommand`. */
  readonly option: string;
  /** Its place, if it is not the command line: `~/.ssh/config:12`. */
  readonly origin?: string;
  readonly verdict: OptionVerdict;
  readonly why: string;
}

/** The files of this machine that become a Secret. They are named, never read into anything that is printed. */
export interface NeededSecret {
  readonly name: string;
  /** Key → path. */
  readonly files: ReadonlyMap<string, string>;
  /** Key → shell word that gives it, where it is no file: `"$(fly tokens create …)"`. */
  readonly literals: ReadonlyMap<string, string>;
}

export interface Translation {
  /** A PortForward; judged by `check` before it is printed. */
  readonly document: PortForwardDocument;
  readonly secrets: readonly NeededSecret[];
  readonly outcomes: readonly OptionOutcome[];
  /** The local port that the command listened on, by the document's port. */
  readonly localPorts: ReadonlyMap<number, number>;
}

export interface PortForwardDocument {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: { readonly ports: readonly DocumentPort[] } & Readonly<Record<string, unknown>>;
}

export interface DocumentPort {
  readonly port: number;
  readonly name?: string;
  readonly destinationHost?: string;
  readonly destinationPort?: number;
  readonly destinationSocket?: string;
  readonly appProtocol?: string;
}

export interface FromOptions {
  readonly name: string | undefined;
  readonly namespace: string | undefined;
  readonly keepLocalPorts: boolean;
}
