// What is inside data channel messages: handshake, acknowledgement, flags and the end of the channel; also the text that opens a web socket.
// No I/O, and nothing here throws, whatever the far side sends. Neighbours: message.ts (the envelope), handshake-protocol.ts (the order).
import { z } from 'zod';
import { type Message, messageType } from './message.ts';

/** The values of PayloadType that port forwarding uses. */
export const payloadType = {
  output: 1,
  handshakeRequest: 5,
  handshakeResponse: 6,
  handshakeComplete: 7,
  encryptionChallengeRequest: 8,
  flag: 10,
} as const;

/** The values of a flag payload. */
export const flag = { disconnectToPort: 1, terminateSession: 2, connectToPortError: 3 } as const;

/** A flag as one big-endian number of 32 bits. */
export function encodeFlag(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

/** The flag's number; undefined if the payload is no flag. */
export function parseFlag(payload: Buffer): number | undefined {
  return payload.length === 4 ? payload.readUInt32BE(0) : undefined;
}

/** The first message on a new web socket (as text): who we are, and the token that authorizes us. */
export function openDataChannel(options: {
  readonly requestId: string;
  readonly token: string;
  readonly clientId: string;
  readonly clientVersion: string;
}): string {
  return JSON.stringify({
    MessageSchemaVersion: '1.0',
    RequestId: options.requestId,
    TokenValue: options.token,
    ClientId: options.clientId,
    ClientVersion: options.clientVersion,
  });
}

/** The payload that acknowledges a message of the agent. */
export function acknowledgement(message: Pick<Message, 'messageId' | 'sequenceNumber'>): Buffer {
  // Written as text for speed: one is sent for every kilobyte received. The id needs no escapes because it is hexadecimal.
  return Buffer.from(
    `{"AcknowledgedMessageType":"${messageType.output}","AcknowledgedMessageId":"${message.messageId}","AcknowledgedMessageSequenceNumber":${message.sequenceNumber},"IsSequentialMessage":true}`,
  );
}

/** The sequence number that an acknowledgement names (nothing else in it matters); undefined if it names none. */
export function parseAcknowledgement(payload: Buffer): number | undefined {
  const value = json(payload);
  if (typeof value !== 'object' || value === null || !('AcknowledgedMessageSequenceNumber' in value)) return undefined;
  const sequence = value.AcknowledgedMessageSequenceNumber;
  return typeof sequence === 'number' && Number.isSafeInteger(sequence) && sequence >= 0 ? sequence : undefined;
}

const handshakeRequestSchema = z.object({
  AgentVersion: z.string().max(64),
  RequestedClientActions: z
    .array(z.object({ ActionType: z.string().max(64), ActionParameters: z.unknown() }))
    .max(64)
    .nullish(),
});

/** Something that the agent asks of the client before the session starts. */
export interface ClientAction {
  readonly actionType: string;
  readonly parameters: unknown;
}

export interface HandshakeRequest {
  readonly agentVersion: string;
  readonly actions: readonly ClientAction[];
}

export function parseHandshakeRequest(payload: Buffer): HandshakeRequest | undefined {
  const parsed = handshakeRequestSchema.safeParse(json(payload));
  if (!parsed.success) return undefined;
  const { AgentVersion, RequestedClientActions } = parsed.data;
  const actions = (RequestedClientActions ?? []).map(({ ActionType, ActionParameters }) => ({
    actionType: ActionType,
    parameters: ActionParameters,
  }));
  return { agentVersion: AgentVersion, actions };
}

const sessionTypeSchema = z.object({
  SessionType: z.string().max(64),
  Properties: z.object({ type: z.string().optional(), host: z.string().optional() }).nullish(),
});

/** The parameters of the action SessionType. */
export interface SessionTypeParameters {
  readonly sessionType: string;
  /** `LocalPortForwarding` for both port forwarding documents. */
  readonly type: string | undefined;
}

export function parseSessionType(parameters: unknown): SessionTypeParameters | undefined {
  const parsed = sessionTypeSchema.safeParse(parameters);
  return parsed.success ? { sessionType: parsed.data.SessionType, type: parsed.data.Properties?.type } : undefined;
}

/** The result of an action: 1 done, 2 failed, 3 not supported. Anything but 1 makes the agent end the session. */
export interface ActionOutcome {
  readonly actionType: string;
  readonly status: 1 | 2 | 3;
  readonly error: string;
}

/** The client's answer: one outcome per requested action, in the order of the request. */
export function handshakeResponse(clientVersion: string, outcomes: readonly ActionOutcome[]): Buffer {
  const ProcessedClientActions = outcomes.map(({ actionType, status, error }) => ({
    ActionType: actionType,
    ActionStatus: status,
    ActionResult: null,
    Error: error,
  }));
  const errors = outcomes.filter(({ error }) => error !== '').map(({ error }) => error);
  return Buffer.from(
    JSON.stringify({
      ClientVersion: clientVersion,
      ProcessedClientActions,
      Errors: errors.length > 0 ? errors : null,
    }),
  );
}

const handshakeCompleteSchema = z.object({ CustomerMessage: z.string().optional() });

/** The greeting that the account set for its sessions; empty if there is none, undefined if the payload is not a completion. */
export function parseHandshakeComplete(payload: Buffer): string | undefined {
  const parsed = handshakeCompleteSchema.safeParse(json(payload));
  return parsed.success ? (parsed.data.CustomerMessage ?? '') : undefined;
}

const channelClosedSchema = z.object({ Output: z.string().optional() });

/** The service's text at the end of a channel; empty at a normal end and if it is not readable. */
export function parseChannelClosed(payload: Buffer): string {
  const parsed = channelClosedSchema.safeParse(json(payload));
  return parsed.success ? (parsed.data.Output ?? '') : '';
}

function json(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
