// A session as the driver opens it, with a count of its key exchanges, which the driver does not tell.
// Neighbours: every-bastion.test.ts; algorithm-worker.ts loads it after it has chosen the crypto.
import type { Socket } from 'node:net';
import { silentLog } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import { SshSession } from '../../../src/sidecar/drivers/ssh/channels/session.ts';
import { login } from '../../../src/sidecar/drivers/ssh/login/handshake.ts';
import { parseKnownHosts } from '../../../src/sidecar/drivers/ssh/login/known-hosts.ts';
import { nativePath } from './through-engine.ts';

type Login = Parameters<typeof login>[0];

export interface CountedOptions extends Pick<Login, 'hop' | 'credentials' | 'signal'> {
  /** Connected already. */
  readonly socket: Socket;
  readonly knownHosts: string;
  /** After so many bytes the tunnel asks for new keys. Default: the driver's. */
  readonly rekeyBytes?: number | undefined;
}

export async function countedSession({ socket, hop, knownHosts, credentials, signal, rekeyBytes }: CountedOptions) {
  const log = silentLog();
  const done = await login({
    socket,
    hop,
    role: 'bastion',
    trust: parseKnownHosts(knownHosts),
    ignoreHostKey: false,
    credentials,
    signal,
    log,
  });
  let keyExchanges = 1;
  done.client.on('handshake', () => keyExchanges++);
  const budget = new ByteBudget();
  const native = nativePath(budget);
  const session = new SshSession({
    hop,
    role: 'bastion',
    transport: socket,
    login: done,
    budget,
    serverAliveIntervalMs: 2000,
    log,
    takeLink: native?.takeLink,
    ...(rekeyBytes === undefined ? {} : { rekeyBytes }),
  });
  session.signal.addEventListener('abort', () => native?.close());
  return { session: native?.through(session) ?? session, login: done, keyExchanges: () => keyExchanges };
}
