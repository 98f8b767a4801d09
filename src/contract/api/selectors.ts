// Kubernetes' own LabelSelector, modelled field by field, so that a misspelt field is refused instead of pruned.
// Neighbours: access.ts, scheduling.ts.
import { z } from 'zod';
import { orderedList, setOf } from './building-blocks.ts';
import { labelKeyText, labelValueText, matchLabels } from './names.ts';
import { withRules } from './rule.ts';

const requirement = withRules(
  z.strictObject({
    key: labelKeyText().describe('Key of the label.'),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('How the label is compared with values.'),
    values: setOf(labelValueText(), 32).exactOptional().describe('Values to compare with; for In and NotIn only.'),
  }),
  [
    {
      rule: "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
      message: 'In and NotIn need at least one of values; Exists and DoesNotExist have none',
      fieldPath: '.values',
      check: ({ operator, values }) =>
        (operator === 'In' || operator === 'NotIn') === (values !== undefined && values.length > 0),
    },
  ],
);

/** A LabelSelector; an empty one matches everything. */
export const labelSelector = () =>
  z.strictObject({
    matchLabels: matchLabels().exactOptional().describe('Labels that must be there, with these values.'),
    matchExpressions: orderedList(requirement, 16).exactOptional().describe('Comparisons, all of which must hold.'),
  });
