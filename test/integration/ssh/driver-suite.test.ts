// The suite that every driver passes, for the ssh driver against a real sshd.

import { generateKey, startSshd } from '../../../lab/private-network/sshd.ts';
import { driverSuite } from '../../driver-suite/suite.ts';
import { sshConfig } from '../../support/ssh-config.ts';
import { hopTo, SecretDirectory, userKey } from './ssh-world.ts';
import { sshDriver } from './through-engine.ts';

driverSuite('ssh', { halfClose: true, dialTells: true }, async () => {
  const sshd = await startSshd();
  const key = await userKey(sshd);
  const stranger = await generateKey(sshd.directory, { name: 'stranger' });
  const secret = new SecretDirectory({ 'ssh-privatekey': key.privateKey, known_hosts: sshd.knownHosts() });
  const wrong = new SecretDirectory({ 'ssh-privatekey': stranger.privateKey, known_hosts: sshd.knownHosts() });
  return {
    driver: (log) => sshDriver(sshConfig([hopTo(sshd, secret)]), { podUid: 'test', log }),
    refusedDriver: (log) => ({
      driver: sshDriver(sshConfig([hopTo(sshd, wrong)]), { podUid: 'test', log }),
      code: 'AuthenticationFailed',
    }),
    destination: (port) => ({ host: '127.0.0.1', port }),
    loseSessions: () => sshd.killSessions(),
    freeze: () => {
      sshd.pause();
      return () => sshd.resume();
    },
    secrets: [key, stranger].flatMap(({ privateKey }) =>
      privateKey.split('\n').filter((line) => line.length > 40 && !line.startsWith('---')),
    ),
    stop: async () => {
      await sshd.stop();
      secret[Symbol.dispose]();
      wrong[Symbol.dispose]();
    },
  };
});
