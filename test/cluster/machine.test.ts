// A second cluster starts and ends beside the one that the other tests share, and leaves the machine as it was.
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { eventually } from '../../lab/base/eventually.ts';
import { maxInstances, placesOf } from '../../lab/base/places.ts';
import { useKind } from '../../lab/cluster/cluster.ts';
import { HostCluster } from '../../lab/cluster/host-cluster.ts';
import { privateDirectories } from '../../lab/cluster/node-namespace.ts';
import { command } from '../../lab/process/command.ts';
import { withLock } from '../../lab/process/lock.ts';
import { signalProcess, startedAt } from '../../lab/process/proc.ts';
import { assertSome } from '../support/assert-every.ts';

const instance = maxInstances - 1;
const places = placesOf(instance);
const log = (): void => {};
const agree = async (): Promise<boolean> => true;
const elsewhere = process.env['PF_TEST_CONTEXT'] !== undefined || (await useKind());
const skip = elsewhere ? 'the cluster of this run is not on this machine itself' : false;

/** What could be left behind. Other clusters and networks may run at the same time, so only what carries this instance’s names is compared. */
async function traces() {
  const lines = (text: string): string[] => text.split('\n').filter((line) => mark.test(line));
  const mark = new RegExp(`${places.name}|${places.directory}|pfnode${instance}|${places.nodeIP}|${places.hostIP}`);
  const commands = globSync('/proc/[0-9]*/cmdline').map((file) => {
    try {
      return readFileSync(file, 'utf8').replaceAll('\0', ' ');
    } catch {
      return '';
    }
  });
  return {
    processes: lines(commands.join('\n')),
    links: lines(await command('ip', ['-o', 'address'])),
    routes: lines(await command('ip', ['route', 'show', 'table', 'all'])),
    rules: lines(await command('nft', ['list', 'ruleset'])),
    mounts: lines(readFileSync('/proc/self/mounts', 'utf8')),
    groups: globSync(`/sys/fs/cgroup/{*/,}${places.name}`),
    directory: existsSync(places.directory),
    directories: privateDirectories.filter((directory) => existsSync(directory)),
    names: existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith('cni-')) : [],
  };
}

suite('a cluster on a bare machine', { skip }, () => {
  const cluster = new HostCluster(places);
  after(() => cluster.down(log));

  test('comes up, repairs what died, and leaves nothing behind', async (t) => {
    await cluster.down(log);
    const before = await traces();
    const kernel = readFileSync('/proc/sys/vm/overcommit_memory', 'utf8');

    const asked: string[] = [];
    await cluster.up({
      log,
      agree: async (changes) => {
        asked.push(...changes);
        return true;
      },
    });
    assertSome(asked, (change) => change.includes(`interface pfnode${instance}`), 'it lists what it would change');
    assert.equal(await cluster.healthy(), true);

    // It runs already: no question is asked.
    const found = performance.now();
    await cluster.up({ log, agree: () => assert.fail('asked for nothing') });
    t.diagnostic(`found running in ${(performance.now() - found).toFixed(0)} ms`);

    await cluster.kubectl(['create', 'configmap', 'kept']);
    for (const part of ['kube-scheduler', 'kube-apiserver', 'kubelet']) {
      const [pid] = readFileSync(`${places.directory}/processes/${part}`, 'utf8').split(' ');
      assert.ok(signalProcess(Number(pid), 'SIGKILL'));
      await eventually(`${part} is gone`, () => startedAt(Number(pid)) === undefined);
    }
    assert.equal(await cluster.healthy(), false);
    await cluster.up({ log, agree });
    // A restarted kubelet may withdraw its Ready until it has looked at the container runtime.
    await eventually('it is healthy again', () => cluster.healthy());
    assert.match(await cluster.kubectl(['get', 'configmap', 'kept', '--output', 'name']), /kept/);

    const name = 'pod';
    const image = 'localhost/portforward/pause';
    await cluster.kubectl(['create', 'deployment', name, `--image=${image}`]);

    await cluster.down(log);
    // The helper that put the parts into their namespaces ends by itself once they are gone.
    await eventually('their leaders have ended', async () =>
      isDeepStrictEqual((await traces()).processes, before.processes),
    );
    assert.deepEqual(await traces(), before);
    assert.equal(readFileSync('/proc/sys/vm/overcommit_memory', 'utf8'), kernel);
    // With nothing to do, it is silent.
    await cluster.down(log);
  });

  test('does not start without consent, and then changes nothing', async () => {
    await cluster.down(log);
    const before = await traces();
    await assert.rejects(cluster.up({ log, agree: async () => false }), /not agreed to/);
    assert.deepEqual(await traces(), before);
  });

  test('a start repairs what an interrupted one left behind', async () => {
    const abort = new AbortController();
    const cut = cluster.up({
      log: (line) => line.includes('prepare the node') && abort.abort(new Error('cut off')),
      agree,
      signal: abort.signal,
    });
    await assert.rejects(cut, /cut off/);
    await cluster.up({ log, agree });
    assert.equal(await cluster.healthy(), true);
    await cluster.down(log);
  });
});

test('a lock is held by one at a time, and a dead holder loses it', async (t) => {
  const file = `/tmp/portforward-lock-${process.pid}`;
  t.after(() => command('rm', ['-f', file]));
  let inside = 0;
  const work = async (): Promise<void> => {
    inside += 1;
    assert.equal(inside, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    inside -= 1;
  };
  await Promise.all(Array.from({ length: 5 }, () => withLock(file, work)));
  // Process 1 lives, but it was not started at that time.
  writeFileSync(file, `1 ${Number(startedAt(1)) + 1}`);
  await withLock(file, work);
  assert.equal(existsSync(file), false);
});
