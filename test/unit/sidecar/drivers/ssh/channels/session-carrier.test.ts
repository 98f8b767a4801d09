// Why the native engine lost a session, as the tunnel says it, and what a session tells the engine.
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import type { Client } from 'ssh2';
import { type LinkLoss, linkCells, type NativeLink } from '../../../../../../src/sidecar/base/native-engine.ts';
import { isOwnFault } from '../../../../../../src/sidecar/drivers/ssh/base/own-fault.ts';
import type { LinkHandlers } from '../../../../../../src/sidecar/drivers/ssh/base/take-link.ts';
import {
  SessionCarrier,
  type SessionCarrierOptions,
} from '../../../../../../src/sidecar/drivers/ssh/channels/session-carrier.ts';

interface Carrying {
  readonly carrier: SessionCarrier;
  readonly cells: Float64Array;
  readonly handlers: LinkHandlers;
  readonly lost: { readonly how: string; readonly cause: unknown }[];
}

const common: Omit<SessionCarrierOptions, 'onLost' | 'transport'> = {
  via: 'bastion:22',
  login: { client: {} as Client },
  maxChannels: 500,
  refusalOf: () => assert.fail('nothing is refused'),
};

function carrying(): Carrying {
  const cells = new Float64Array(linkCells.length);
  const lost: Carrying['lost'] = [];
  let handlers: LinkHandlers | undefined;
  const carrier = SessionCarrier.take({
    ...common,
    transport: new Socket(),
    takeLink: (_client, _socket, given) => {
      handlers = given;
      return { link: {} as NativeLink, cells };
    },
    onLost: (how, cause) => void lost.push({ how, cause }),
  });
  assert(carrier !== undefined && handlers !== undefined);
  return { carrier, cells, handlers, lost };
}

test('every loss has a sentence, and no far side’s fault is taken for ours', () => {
  const { handlers, lost } = carrying();
  const ours: LinkLoss['cause'][] = [];
  const causes = ['closed', 'broken', 'packet', 'window', 'flood', 'noPacket', 'unread', 'keys'] as const;
  for (const cause of causes) {
    handlers.onLost({ cause, errno: cause === 'broken' ? 104 : 0 });
    if (isOwnFault(lost.at(-1)?.cause)) ours.push(cause);
  }
  assert.deepEqual(
    lost.map(({ how }) => how),
    [
      'closed the connection',
      'broke the connection',
      'ended the session',
      'sent more than its window allows',
      'floods the session with data of no stream',
      'allows no packet at all',
      'floods the session, or does not read the answers to what it asks: see what answers there, and its load',
      'ended the session',
    ],
  );
  assert.match(String(lost[1]?.cause), /ECONNRESET/);
  assert.deepEqual(ours, ['keys']);
});

test('who listens hears when the engine begins and ends to carry, until they unsubscribe', () => {
  const { carrier, handlers } = carrying();
  const heard: boolean[] = [];
  const unsubscribe = carrier.onBusyChange((busy) => heard.push(busy));
  handlers.onBusyChange(true);
  handlers.onBusyChange(false);
  unsubscribe();
  handlers.onBusyChange(true);
  assert.deepEqual(heard, [true, false]);
});

test('the engine is told the channels of JavaScript and the round trip, and counts its own', () => {
  const { carrier, cells } = carrying();
  assert.equal(Number.isNaN(cells[linkCells.roundTripMs]), true, 'not known yet');
  carrier.setRoundTrip(12);
  carrier.setOwnChannels(3);
  assert.deepEqual([cells[linkCells.roundTripMs], cells[linkCells.ownChannels]], [12, 3]);
  cells[linkCells.channels] = 5;
  cells[linkCells.opening] = 2;
  assert.deepEqual([carrier.channels, carrier.opening], [5, 2]);
});

test('a session behind a jump host, and one without the engine, carry in JavaScript', () => {
  const onLost = () => assert.fail('it is lost');
  const takeLink = () => assert.fail('it is taken');
  const stream = Object.assign(new PassThrough(), { bytesRead: 0 });
  assert.equal(SessionCarrier.take({ ...common, transport: stream, takeLink, onLost }), undefined);
  assert.equal(SessionCarrier.take({ ...common, transport: new Socket(), onLost }), undefined);
});
