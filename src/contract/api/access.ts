// spec.access: who in the cluster may dial the tunnel. Becomes the ingress rule of the tunnel's NetworkPolicy.
// Neighbours: selectors.ts; controller/children builds the policy.
import { z } from 'zod';
import { orderedList, text } from './building-blocks.ts';
import { isStrictlyInside, parseCidr } from './cidr.ts';
import { withRules } from './rule.ts';
import { labelSelector } from './selectors.ts';

const cidr = () =>
  withRules(text(64, 1), [
    {
      rule: 'isCIDR(self)',
      message: 'an address range is an address, a slash and a number of bits, as in 10.1.0.0/16 or fd00::/8',
      check: (value) => parseCidr(value) !== undefined,
    },
  ]);

const ipBlock = withRules(
  z.strictObject({
    cidr: cidr().describe('Address range that may connect, as in 10.1.0.0/16.'),
    except: orderedList(cidr(), 32).exactOptional().describe('Ranges inside cidr that may not.'),
  }),
  [
    {
      rule: '!has(self.except) || !isCIDR(self.cidr) || self.except.all(each, !isCIDR(each) || (cidr(self.cidr).containsCIDR(each) && cidr(self.cidr).prefixLength() < cidr(each).prefixLength()))',
      message: 'except holds a range that is not a part of cidr: remove it, or widen cidr',
      fieldPath: '.except',
      check: (block) => {
        const outer = parseCidr(block.cidr);
        const inner = (block.except ?? []).flatMap((each) => parseCidr(each) ?? []);
        return outer === undefined || inner.every((each) => isStrictlyInside(each, outer));
      },
    },
  ],
);

const peer = withRules(
  z.strictObject({
    podSelector: labelSelector()
      .exactOptional()
      .describe(
        'Pods that may connect: of this namespace, or of those that namespaceSelector matches. {} means all of them.',
      ),
    namespaceSelector: labelSelector()
      .exactOptional()
      .describe('Namespaces whose pods may connect. {} means all namespaces.'),
    ipBlock: ipBlock
      .exactOptional()
      .describe(
        'Addresses that may connect, for clients that are no pods. Excludes podSelector and namespaceSelector.',
      ),
  }),
  [
    {
      rule: 'has(self.podSelector) || has(self.namespaceSelector) || has(self.ipBlock)',
      message: 'an entry of access.from is empty: give it a podSelector, a namespaceSelector or an ipBlock',
      check: (value) =>
        value.podSelector !== undefined || value.namespaceSelector !== undefined || value.ipBlock !== undefined,
    },
    {
      rule: '!has(self.ipBlock) || (!has(self.podSelector) && !has(self.namespaceSelector))',
      message: 'ipBlock excludes podSelector and namespaceSelector: write them as two entries of access.from',
      fieldPath: '.ipBlock',
      check: (value) =>
        value.ipBlock === undefined || (value.podSelector === undefined && value.namespaceSelector === undefined),
    },
  ],
);

export const accessSchema = z
  .strictObject({
    from: orderedList(peer, 32, 1).describe(
      'Who may connect, as in the ingress of a NetworkPolicy; at least one entry. With this set, pods of the same namespace need an entry, too.',
    ),
  })
  .describe(
    'Who may dial the tunnel. Absent: all pods of the same namespace. It becomes a NetworkPolicy, which works only if the network of the cluster enforces them. Example: {from: [{namespaceSelector: {matchLabels: {team: shop}}}]}.',
  );
