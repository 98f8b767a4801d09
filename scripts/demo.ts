// `npm run demo`: what PortForward does, shown on this machine. With `--laptop` a look of seconds without a cluster; without it the
// whole main job in a real cluster, which `npm run cluster -- down` takes away again.
// Neighbours: demo/cluster-look.ts and demo/laptop-look.ts.
import { progressOn } from '../lab/base/progress.ts';
import { removeAbandonedNetworks } from '../lab/private-network/network.ts';
import { runScript, WrongCall } from '../lab/process/script.ts';
import { clusterLook } from './demo/cluster-look.ts';
import { laptopLook, laptopLookInNamespaces } from './demo/laptop-look.ts';
import { Screen } from './demo/screen.ts';

const usage = `npm run demo -- [--laptop] [--yes]
  --laptop   no cluster: bastions and a database in namespaces of their own, and portforward open
  --yes      do not ask on a terminal before packages are installed and the machine is changed`;

await runScript(async (signal) => {
  const words = process.argv.slice(2);
  const screen = new Screen(progressOn());
  if (words.includes('--help')) return screen.say(usage);
  const unknown = words.find((word) => !['--laptop', '--laptop-inside', '--yes'].includes(word));
  if (unknown !== undefined) throw new WrongCall(`the demo does not know ${unknown}\n${usage}`);
  if (words.includes('--laptop-inside')) return laptopLook(screen, signal);
  if (words.includes('--laptop')) return laptopLookInNamespaces(screen, signal);
  // What a killed run left would hold its addresses.
  await removeAbandonedNetworks();
  return clusterLook(screen, signal);
});
