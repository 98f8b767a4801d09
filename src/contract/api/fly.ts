// spec.fly: the tunnel into a private network of fly.io (WireGuard, like `fly proxy`).
// Neighbours: portforward.ts (exactly one driver, org needs a destinationHost), effective.ts (<app>.internal).
import { z } from 'zod';
import { text } from './building-blocks.ts';
import { secretRef } from './names.ts';
import { matches, withRules } from './rule.ts';

const slug = (what: string) =>
  withRules(text(63, 1), [
    matches(
      /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
      `${what} is made of lower-case letters, digits and '-', and begins and ends with a letter or digit`,
    ),
  ]);

export const flySchema = withRules(
  z.strictObject({
    app: slug('app')
      .exactOptional()
      .describe(
        'Name of the fly.io app to reach. Its machines are the default destination, as <app>.internal. Excludes org.',
      ),
    org: slug('org')
      .exactOptional()
      .describe(
        'Slug of the organization whose private network to join, instead of app. Every port then needs a destinationHost.',
      ),
    network: slug('network')
      .exactOptional()
      .describe(
        "A custom private network of the organization. Only with org. Default: the organization's default network.",
      ),
    region: withRules(text(3), [matches(/^([a-z]{3})?$/, 'region is a fly.io region of three letters, such as fra')])
      .default('')
      .describe('Region of the WireGuard gateway, three letters such as fra. Empty: the nearest.'),
    secretRef: secretRef('Key: FLY_API_TOKEN.'),
    transport: z
      .enum(['Auto', 'UDP', 'WebSocket'])
      .default('Auto')
      .describe('How WireGuard travels. Auto: UDP, and a web socket on 443 if UDP is blocked.'),
  }),
  [
    {
      rule: '[has(self.app), has(self.org)].exists_one(given, given)',
      message: 'fly needs exactly one of app and org',
      check: (fly) => (fly.app === undefined) !== (fly.org === undefined),
    },
    {
      rule: '!has(self.network) || has(self.org)',
      message:
        'network is only for org: an app is reached in its own network; remove network, or name the org instead of the app',
      fieldPath: '.network',
      check: (fly) => fly.network === undefined || fly.org !== undefined,
    },
  ],
).describe(
  'Reach a private network of fly.io by WireGuard, like fly proxy. Example: {app: orders-db, secretRef: {name: fly}}.',
);
