// What the agent asks before it forwards, and what we answer: a state machine, payloads in and steps out. No I/O, no deadline of its own.
// Neighbours: payload.ts (the payloads), agent-version.ts (what the version means), channel-handshake.ts (runs it within its time limit).
import { defined } from '../../../../contract/defined.ts';
import { TunnelError } from '../../../../contract/errors.ts';
import { type AgentAbilities, abilitiesOf } from '../base/agent-version.ts';
import {
  type ActionOutcome,
  type ClientAction,
  handshakeResponse,
  parseHandshakeComplete,
  parseHandshakeRequest,
  parseSessionType,
  payloadType,
} from './payload.ts';

/**
 * The version of AWS's plugin that we report as ours. The service requires at least 1.2.764.0, and up to 1.2.331.0 the agent would end the
 * session 30 to 60 s after the last frame.
 */
export const clientVersion = '1.2.835.0';

/** What is known of the agent once the handshake is over. */
export interface AgentFacts extends AgentAbilities {
  readonly version: string;
  /** The greeting of the account's session preferences; for the log. */
  readonly customerMessage: string;
}

/** What to do after a message. `refused` may have an answer to send first, so that the agent ends its side too. */
export type HandshakeStep =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'answer'; readonly payload: Buffer }
  | { readonly kind: 'complete'; readonly agent: AgentFacts }
  | { readonly kind: 'refused'; readonly error: TunnelError; readonly payload?: Buffer };

export interface HandshakeProtocolOptions {
  /** True if the destination is another host than the node itself. */
  readonly remoteHost: boolean;
  /** The node, for sentences. */
  readonly target: string;
}

export class HandshakeProtocol {
  readonly #remoteHost: boolean;
  readonly #target: string;
  #agent: { readonly version: string; readonly abilities: AgentAbilities } | undefined;
  #over = false;

  constructor({ remoteHost, target }: HandshakeProtocolOptions) {
    this.#remoteHost = remoteHost;
    this.#target = target;
  }

  /** Takes a stream message's payload, in order. `nothing` if it does not belong to a handshake or comes after its end. */
  receive(type: number, payload: Buffer): HandshakeStep {
    if (this.#over) return { kind: 'nothing' };
    switch (type) {
      case payloadType.handshakeRequest:
        return this.#agent === undefined ? this.#request(payload) : { kind: 'nothing' };
      case payloadType.handshakeComplete:
        return this.#complete(payload);
      case payloadType.encryptionChallengeRequest:
        return this.#refuse(encryptionDemanded(this.#target));
      default:
        return { kind: 'nothing' };
    }
  }

  #request(payload: Buffer): HandshakeStep {
    const request = parseHandshakeRequest(payload);
    if (request === undefined) {
      return this.#refuse(this.#unfit('sends a handshake that cannot be read'));
    }
    const judged = request.actions.map((action) => judge(action, this.#target));
    const answer = handshakeResponse(
      clientVersion,
      judged.map(({ outcome }) => outcome),
    );
    const error = judged.find((one) => one.error !== undefined)?.error ?? this.#tooOld(request.agentVersion);
    if (error !== undefined) return this.#refuse(error, answer);
    if (!request.actions.some(({ actionType }) => actionType === 'SessionType')) {
      return this.#refuse(this.#unfit('names no type of the session'), answer);
    }
    const abilities = abilitiesOf(request.agentVersion);
    if (abilities !== undefined) this.#agent = { version: request.agentVersion, abilities };
    return { kind: 'answer', payload: answer };
  }

  #complete(payload: Buffer): HandshakeStep {
    if (this.#agent === undefined) return { kind: 'nothing' };
    this.#over = true;
    const { version, abilities } = this.#agent;
    return {
      kind: 'complete',
      agent: { ...abilities, version, customerMessage: parseHandshakeComplete(payload) ?? '' },
    };
  }

  #tooOld(version: string): TunnelError | undefined {
    const abilities = abilitiesOf(version);
    if (abilities === undefined) {
      return this.#unfit(`reports an unknown version, ${JSON.stringify(version)}`);
    }
    if (this.#remoteHost && !abilities.reachesOtherHosts) {
      return new TunnelError(
        'AgentTooOld',
        `the SSM agent ${version} on ${this.#target} cannot reach another host than its own: update it to 3.1.1374.0 or newer`,
      );
    }
    return undefined;
  }

  #unfit(what: string): TunnelError {
    return new TunnelError('SessionRefused', `the SSM agent on ${this.#target} ${what}: update or restart it`);
  }

  #refuse(error: TunnelError, payload?: Buffer): HandshakeStep {
    this.#over = true;
    return { kind: 'refused', error, ...defined({ payload }) };
  }
}

interface Judgement {
  readonly outcome: ActionOutcome;
  readonly error?: TunnelError;
}

function judge({ actionType, parameters }: ClientAction, target: string): Judgement {
  if (actionType === 'SessionType') {
    const sessionType = parseSessionType(parameters);
    if (sessionType?.sessionType === 'Port' && sessionType.type === 'LocalPortForwarding') {
      return { outcome: { actionType, status: 1, error: '' } };
    }
    const sentence = `the SSM agent on ${target} makes the session one of ${JSON.stringify(sessionType?.sessionType ?? 'unknown')}, not of port forwarding: update or restart it`;
    return { outcome: { actionType, status: 2, error: sentence }, error: new TunnelError('SessionRefused', sentence) };
  }
  const error =
    actionType === 'KMSEncryption'
      ? encryptionDemanded(target)
      : new TunnelError(
          'SessionRefused',
          `the SSM agent on ${target} asks for ${JSON.stringify(actionType)}, which the tunnel does not know: look at the Session Manager preferences, or update the tunnel`,
        );
  return { outcome: { actionType, status: 3, error: `Unsupported action ${actionType}` }, error };
}

function encryptionDemanded(target: string): TunnelError {
  return new TunnelError(
    'EncryptionDemanded',
    `the SSM agent on ${target} demands that the session be encrypted with a KMS key, which port forwarding does not support: turn KMS encryption off in the Session Manager preferences; TLS encrypts the channel in any case`,
  );
}
