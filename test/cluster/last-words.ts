// What tunnel pods log while they end, for a test that fails because of what one of them left: afterwards there is no pod to ask.
// Neighbours: fly.test.ts, lab/cluster/shop.ts.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Shop } from '../../lab/cluster/shop.ts';

const selector = ['--selector', 'portforward.dev/name'];
const logs = ['logs', ...selector, '--prefix', '--timestamps', '--tail=20', '--max-log-requests=50'];
/** Pods that have ended have ended their logs, too. */
const endMs = 5_000;

export interface LastWords {
  /** Settles as the wait; its failure names what is left, each with the log of the pod whose UID it has. */
  explain(wait: Promise<unknown>, left: () => readonly string[]): Promise<void>;
}

/** Follows every tunnel pod of that namespace from now on, until it ends. */
export async function lastWords(shop: Shop): Promise<LastWords> {
  const { items } = JSON.parse(await shop.kubectl(['get', 'pods', ...selector, '--output', 'json'])) as {
    readonly items: readonly { readonly metadata: { readonly name: string; readonly uid: string } }[];
  };
  const followed = shop.kubectl([...logs, '--follow']).catch(String);
  const linesOf = (text: string, left: string): string => {
    const pod =
      items.find(({ metadata }) => left.includes(metadata.uid))?.metadata.name ?? 'a pod that was gone before';
    const lines = text.split('\n').filter((line) => line.startsWith(`[pod/${pod}/`));
    return [`${left}, of ${pod}`, ...lines].join('\n');
  };
  return {
    explain: async (wait, left) => {
      try {
        await wait;
      } catch (error) {
        const living = delay(endMs).then(async () => await shop.kubectl(logs).catch(String));
        const text = await Promise.race([followed, living]);
        assert.fail(
          `${String(error)}\n${left()
            .map((each) => linesOf(text, each))
            .join('\n')}`,
        );
      }
    },
  };
}
