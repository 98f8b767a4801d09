// What `doctor` finds in a pod of a tunnel, asked as a person would: by kubectl exec.
// Neighbours: bad-worlds.test.ts and ssm-bad-worlds.test.ts, each of whose worlds has its step.
import assert from 'node:assert/strict';
import type { Shop } from '../../lab/cluster/shop.ts';
import { CommandFailed } from '../../lab/process/command.ts';

interface DoctorReport {
  readonly ok: boolean;
  readonly steps: readonly {
    readonly step: string;
    readonly ok: boolean;
    readonly reason?: string;
    readonly message?: string;
  }[];
}

/** `login: AuthenticationFailed` for the only fault of the walk; its whole output holds none of the secrets. */
export async function faultInPod(
  shop: Shop,
  name: string,
  secrets: ReadonlyMap<string, string | RegExp>,
): Promise<string> {
  const [pod] = await shop.tunnelPods(name);
  assert.ok(pod !== undefined, `${name} has a pod`);
  const walk = [
    'exec',
    pod.metadata.name,
    '-c',
    'tunnel',
    '--',
    'node',
    '/app/portforward.cjs',
    'doctor',
    '-o',
    'json',
  ];
  const said = await shop.kubectl(walk).then(
    (output) => assert.fail(`no fault:\n${output}`),
    (error: unknown) => error,
  );
  assert.ok(said instanceof CommandFailed, String(said));
  for (const [what, secret] of secrets) {
    const shows = typeof secret === 'string' ? said.stdout.includes(secret.trim()) : secret.test(said.stdout);
    assert.ok(!shows, `doctor shows ${what}`);
  }
  const { steps } = JSON.parse(said.stdout || assert.fail(said.message)) as DoctorReport;
  const faults = steps.filter(({ ok }) => !ok);
  assert.equal(faults.length, 1, said.stdout);
  return `${faults[0]?.step}: ${faults[0]?.reason}`;
}
