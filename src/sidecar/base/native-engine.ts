// The native engine's interface: what the addon built from native/ offers, version 1. It accepts clients and moves their bytes over
// ssh sessions without JavaScript in between; JavaScript logs in, exchanges keys and decides.
// Neighbours: native-addon.ts loads it, drivers/ssh/base/ssh2-link.ts gives it the socket of a session, clients/native-clients.ts a port.
//
// Everything runs on the thread of the Node environment that loaded it. The first engine of a thread waits for its sockets and for those of Node at once,
// instead of Node's event loop; another one is served by that loop. Nothing throws unless it says so.
// Callbacks come from the event loop with an empty stack, never from inside a call into the engine; an exception in one becomes an
// 'uncaughtException'. All but `onPayload` come at the end of a round, after all sockets that were ready have been served.
// Cells are arrays that JavaScript makes, and that the engine reads and writes in place: reading a counter is no call.

export interface EngineAddon {
  /** Asserted when it is loaded. */
  readonly interfaceVersion: 1;
  /** @throws Error (code of errno) if there is no epoll instance to be had */
  readonly Engine: new (
    options: EngineOptions,
  ) => Engine;
}

export interface EngineOptions {
  /** Two cells. [0] bytes used by JavaScript (you write), [1] bytes used by the engine (it writes; its own read and write memory counted). */
  readonly budget: Float64Array;
  /** Bytes that both together may hold (ByteBudget.total). `free` and `spare` are computed from it as in byte-budget.ts. */
  readonly budgetTotal: number;
}

/** One for a sidecar (several in one process are fine: tests). It never keeps the process alive by itself; its listeners do, as net.Server does. */
export interface Engine {
  /** @throws Error (code EMFILE) if no descriptor is left for it */
  link(options: NativeLinkOptions): NativeLink;
  /** @throws Error with `code` EADDRINUSE, EACCES, EADDRNOTAVAIL, EINVAL (host is not a literal)… */
  listen(options: ListenOptions): NativeListener;
  /** How long it waited with nothing to do, in all. Node counts that as time in which its event loop was busy. */
  waitedMs(): number;
  /** Closes all listeners and links that are left, resets their clients. No callback comes after it. Idempotent. */
  close(): void;
}

// --- a link: one ssh connection after its login ---
// drivers/ssh/base/ssh2-link.ts alone uses what is for ssh2: keys, seal, onPayload, onDrain. Session and tunnel use the rest.

export interface NativeLinkOptions {
  /** Of the socket. The engine duplicates it: yours stays yours, and must not be read or written any more until the link is closed. */
  readonly fd: number;
  /** linkCells.length cells. */
  readonly cells: Float64Array;
  /** The session's limit of channels (500); what JavaScript has of them is cells[ownChannels]. */
  readonly maxChannels: number;
  /** The payload of a packet that is not of the engine's channels, yours from now on (memory of its own). */
  onPayload(payload: Buffer): void;
  /** The queue fell below the gate (256 KiB) after it was above. */
  onDrain(): void;
  /** Once. The link is closed already: its open clients were reset (see `close`). Clients with an unanswered dial come up AFTER it. */
  onLost(loss: LinkLoss): void;
  /** The number of its channels (cells[channels]) fell to 0 or rose from 0; coalesced: at most once in a round, with the state at its end. */
  onBusyChange(busy: boolean): void;
}

export interface LinkLoss {
  readonly cause:
    | 'closed' // the far side sent its FIN
    | 'broken' // the socket failed; errno says how
    | 'packet' // a packet of impossible length, a bad tag, or a malformed message
    | 'window' // the far side sent more than a window allows
    | 'flood' // more than 16 MiB on second data streams
    | 'noPacket' // a channel was confirmed with packets of 0 bytes
    | 'unread' // it asks and does not read: more than 1 MiB of our answers wait
    | 'keys'; // NEWKEYS without keys that the engine can use
  /** Of 'broken', else 0. */
  readonly errno: number;
}

/** Cells of a link. Those with (you) are written by JavaScript. */
export const linkCells = {
  bytesRead: 0,
  bytesWritten: 1,
  /** Bytes of sealed packets that the kernel has not taken. */
  unsent: 2,
  /** Channels of the engine: opening, open, or waiting for the far side's close. They count against maxChannels. */
  channels: 3,
  /** Dials without an answer. */
  opening: 4,
  /** 1 from our KEXINIT to our NEWKEYS: no channel message is sent, no new client is taken. */
  exchangingKeys: 5,
  /** (you) Channels that JavaScript has on this session. */
  ownChannels: 6,
  /** (you) The least round trip of the ssh layer in ms, NaN while unknown; the windows follow it as in inbound-window.ts. */
  roundTripMs: 7,
  length: 8,
} as const;

export interface NativeLink {
  // for the session and the tunnel
  /**
   * JavaScript ended the session. Sends what waits as far as the kernel takes it at once. Clients whose answer is complete (the far side's EOF is
   * here and our own was sent or the channel is closed) still get it and end cleanly; other open ones are reset with cause 'session'; those with an unanswered dial come up
   * with cause 'lost' at the end of the round. Neither `onLost` nor `onPayload` nor `onDrain` comes after it. Idempotent; also right after onLost.
   */
  close(): void;

  // for ssh2-link.ts
  /** The key and the IV of the next packet. Key of 16 or 32 bytes, IV of 12. After our NEWKEYS it releases what was held. */
  setSendKey(key: Uint8Array, iv: Uint8Array): void;
  /** The same for the far side's packets: before `start`, and inside the `onPayload` of its NEWKEYS, else the link is lost ('keys'). */
  setReceiveKey(key: Uint8Array, iv: Uint8Array): void;
  /**
   * A packet of ssh2: uint32 length, padding length, payload, padding, 16 bytes of room. Copied, encrypted, sent at the end of the round. The engine
   * sees KEXINIT and NEWKEYS in it and holds the messages of its channels back meanwhile. Ignored after the end.
   */
  seal(packet: Uint8Array): void;
  /** Bytes that were read before, not parsed yet (usually none), then reads. */
  start(early?: Uint8Array): void;
  /** Writes what waits, as far as the kernel takes it. */
  flush(): void;
}

// --- a listener: one forward's port ---

export interface ListenOptions {
  /** '' : every address, IPv4 and IPv6 if there is both; else a literal of either. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly destination: { readonly host: string; readonly port: number } | { readonly socket: string };
  /** A dial without an answer comes back after this long (cause 'timeout'). Checked every 100 ms at least. */
  readonly dialTimeoutMs: number;
  /** listenerCells.length cells. */
  readonly cells: Float64Array;
  /**
   * A client that the engine does not carry. `fd` is yours from now on: nothing was read of it; nonblocking, close-on-exec, TCP_NODELAY and
   * keep-alive (30 s) are set; SO_LINGER is off. It is counted in none of `cells`. `why` undefined: nothing was tried
   * (no link, no room, no place). A client with an unanswered dial counts in `open` until this call.
   */
  onClient(fd: number, why: DialFailure | undefined): void;
  /** A dial was answered by success: the first at once, later ones at most once a second (with the last of them not lost: it comes late). */
  onAnswered(): void;
  /** cells[open] fell to 0; coalesced at the end of a round. */
  onIdle(): void;
  /** Each dial that was answered by success. Give it only if somebody looks (traces): it costs a call per connection. */
  onDialled?(tookMs: number): void;
  /** Each client that was carried and is gone. Give it only if somebody looks (log level debug): it costs a call per connection. */
  onEnded?(end: ClientEnd): void;
}

export interface DialFailure {
  readonly link: NativeLink;
  readonly cause:
    | 'refused' // CHANNEL_OPEN_FAILURE: `reason` and `text` are its
    | 'timeout'
    | 'lost' // the link ended meanwhile
    | 'taken'; // takeBack
  /** RFC 4254 §5.1; 0 unless refused. */
  readonly reason: number;
  /** The far side's words, at most 200 bytes, as latin1; '' unless refused. Bytes below 0x20 and 0x7f are replaced by a space. */
  readonly text: string;
  readonly tookMs: number;
}

export interface ClientEnd {
  /** Undefined if the link was gone before: the whole answer was still on its way to the client. */
  readonly link: NativeLink | undefined;
  readonly bytesToDestination: number;
  readonly bytesToClient: number;
  readonly durationMs: number;
  /** 'drain': resetAll. '' : clean. */
  readonly brokenBy: '' | 'client' | 'destination' | 'session' | 'drain';
}

/** Upper bounds of the buckets of dials in seconds, as metrics.ts has them; the last bucket is +Inf. Every answered or failed dial counts, 'taken' and those whose client left do not. */
export const dialBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Cells of a listener; the engine writes all but `places`. Counters never fall. */
export const listenerCells = {
  /** (you) The most clients that the engine may have at a time (opening or open). Less than `open`: nobody is ended, nobody new is taken. */
  places: 0,
  /** Clients that the engine has: opening, open, lingering. */
  open: 1,
  /** Clients whose dial was answered by success. (Those that left before the answer are in none.) */
  carried: 2,
  toDestination: 3,
  toClient: 4,
  endedClean: 5,
  brokenByClient: 6,
  resetByDestination: 7,
  resetBySession: 8,
  resetByDrain: 9,
  dialSecondsSum: 10,
  /** 13 cells, not cumulative. */
  dialBuckets: 11,
  length: 24,
} as const;

export interface NativeListener {
  /** The one that it listens on. */
  readonly host: string;
  readonly port: number;
  /** Over which new clients go: the one with the fewest channels that has room and exchanges no keys. [] hands every client up. Lost ones are skipped. */
  setLinks(links: readonly NativeLink[]): void;
  /** Hands every client of this listener with an unanswered dial over that link up, cause 'taken', at the end of the round. */
  takeBack(link: NativeLink): void;
  /** Closes the port (clients in its backlog are reset by the kernel); the connected ones stay. Idempotent. */
  stopAccepting(): void;
  /** Resets every client (open: counted as resetByDrain; opening: reset too, counted there as well). */
  resetAll(): void;
  /** stopAccepting and resetAll; no callback comes after it. Idempotent. */
  close(): void;
}
