// A pod's peers at an API that refuses, fails or is silent as a test says. Neighbours: own-peers.test.ts and removals.test.ts use it.
import assert from 'node:assert/strict';
import { type Code, TunnelError } from '../../../../../src/contract/errors.ts';
import { onAbort } from '../../../../../src/process/abort.ts';
import { createLog } from '../../../../../src/process/log.ts';
import { CredentialsRecord } from '../../../../../src/sidecar/base/credentials-record.ts';
import type { FlyApi } from '../../../../../src/sidecar/drivers/fly/api/operations.ts';
import { tokenCodes } from '../../../../../src/sidecar/drivers/fly/driver.ts';
import { OwnPeers } from '../../../../../src/sidecar/drivers/fly/own-peers.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

/** A pod is given 10 s after its drain, and may need 2 s of them for its sessions. */
const closeMs = 8_000;
const gatewayKey = 'A'.repeat(43).concat('=');

/** Peers of an API that refuses these operations, and what is known of the token. */
export function setting({ directory = '' }: { readonly directory?: string } = {}) {
  const refuses = new Map<keyof FlyApi, Code>();
  /** Of all peers of the organization, and those that were removed. */
  const names: string[] = [];
  const removed: string[] = [];
  /** Those that were asked to be removed. */
  const asked: string[] = [];
  /** Makes each peer, but answers nobody. */
  const silent = { on: false };
  /** Answers the request for a peer that nobody waits for any more. */
  const late: (() => void)[] = [];
  const validity: { on: boolean; whenAsked: (signal: AbortSignal) => Promise<void> } = {
    on: true,
    whenAsked: async () => undefined,
  };
  /** Before each answer to a removal. */
  const removal: { whenAsked: () => Promise<void> } = { whenAsked: async () => undefined };
  const said: string[] = [];
  const clock = new FakeClock();
  const log = createLog({ destination: { write: (line) => void said.push(line) } });
  const answer = <T>(operation: keyof FlyApi, value: T) => {
    return async (): Promise<T> => {
      const code = refuses.get(operation);
      if (code !== undefined) throw new TunnelError(code, `${operation} is refused`);
      return value;
    };
  };
  const made = answer('addPeer', { address: 'fdaa:0:18:a7b:35c:0:1:102', endpoint: 'gateway.test', gatewayKey });
  const api: FlyApi = {
    networkOfApp: answer('networkOfApp', { organizationId: 'id-1', organization: 'shop-inc', network: '' }),
    organization: answer('organization', { organizationId: 'id-1', organization: 'shop-inc', network: '' }),
    nearestRegion: answer('nearestRegion', 'fra'),
    addPeer: async ({ name }, { signal: givenUp }) => {
      if (silent.on) {
        names.push(name);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        late.push(resolve);
        using _ = onAbort(givenUp, reject);
        await promise;
      }
      return await made();
    },
    isValid: async (_address, options) => {
      await validity.whenAsked(options.signal);
      return (await answer('isValid', true)()) && validity.on;
    },
    peerNames: async () => await answer('peerNames', names)(),
    removePeer: async (_organization, name) => {
      asked.push(name);
      await removal.whenAsked();
      await answer('removePeer', undefined)();
      removed.push(name);
      if (names.includes(name)) names.splice(names.indexOf(name), 1);
    },
    close: async () => undefined,
  };
  const record = new CredentialsRecord(tokenCodes, log);
  const peers = new OwnPeers({
    api,
    config: {
      app: 'orders-db',
      network: '',
      region: '',
      transport: 'Auto',
      directory,
      credentials: { secretName: 'fly', directory: '' },
    },
    owner: { namespace: 'shop', name: 'orders-db', podUid: 'uid' },
    record,
    clock,
    log,
  });
  /** Closes; what takes its time has it. */
  const close = async (): Promise<number> => {
    const begun = clock.now();
    let ended = Number.POSITIVE_INFINITY;
    const closed = peers.close().then(() => (ended = clock.now()));
    await clock.advance(closeMs);
    await closed;
    assert.equal(clock.pending, 0, 'no timer is left');
    return ended - begun;
  };
  const refused = (): string[] => [...record.verdict.refused.values()].map(({ code }) => code);
  return {
    refuses,
    peers,
    record,
    refused,
    names,
    removed,
    asked,
    silent,
    late,
    validity,
    removal,
    clock,
    said,
    close,
  };
}
