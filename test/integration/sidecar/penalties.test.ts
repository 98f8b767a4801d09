// OpenSSH 9.8 and later bans an address for a while whose logins fail often, and all pods of a cluster may share one address. Here two pods
// do, at OpenSSH 10's defaults.
import { test } from 'node:test';
import { eventually } from '../../../lab/base/eventually.ts';
import { progressOn } from '../../../lab/base/progress.ts';
import { signalProcess } from '../../../lab/process/proc.ts';
import { ensureOpensshTen } from '../../../lab/programs/openssh-ten.ts';
import { echo, serve } from '../../driver-suite/destinations.ts';
import { assertEvery } from '../../support/assert-every.ts';
import { openSidecar, startBastion, tunnelConfig, until, untilConnected } from './sidecar-world.ts';

/** At once, 8 s and 23 s later, by each of two pods: longer than the 15 s that sshd's least penalty lasts. */
const refusals = 6;

test('two pods behind one address are never banned by a bastion that refuses their login for a while', {
  timeout: 120_000,
}, async (t) => {
  const release = await ensureOpensshTen(progressOn());
  const bastion = await startBastion({ release, config: ['MaxStartups 10:30:100'] });
  t.after(() => bastion.stop());
  const { sshd } = bastion;
  const service = await serve(echo);
  t.after(() => service.stop());
  const config = tunnelConfig([bastion.hop], { forwards: [{ port: service.port }] });
  const pods = await Promise.all([openSidecar(config), openSidecar(config)]);
  t.after(() => Promise.all(pods.map((pod) => pod.stop())));
  await Promise.all(pods.map((pod) => untilConnected(pod)));

  sshd.authorize([]);
  // Asked to end, as by an administrator: a process that is killed would be a crash, which has a penalty of its own.
  for (const pid of sshd.sessions()) signalProcess(pid, 'SIGTERM');
  await Promise.all(pods.map((pod) => until(pod, () => pod.status().reason === 'LoginRefused')));
  const failures = (): number => sshd.log().filter((line) => line.includes('Failed publickey')).length;
  await eventually('each pod was refused three times', () => failures() >= refusals, 60_000);
  sshd.authorize([bastion.publicKey]);
  await Promise.all(pods.map((pod) => untilConnected(pod)));

  t.diagnostic(`${failures()} refused logins`);
  assertEvery(
    sshd.log(),
    (line) => !/drop connection|Not allowed at this time/.test(line),
    'no connection was dropped',
  );
});
