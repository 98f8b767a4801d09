// The Kubernetes sub-objects of spec.pod that decide where a tunnel pod runs, modelled field by field: what is not here is refused.
// Neighbours: pod.ts, selectors.ts.
import { z } from 'zod';
import { integer, orderedList, repeated, setOf, text } from './building-blocks.ts';
import { labelKeyText, labelName, labelValueText, objectName } from './names.ts';
import { withRules } from './rule.ts';
import { labelSelector } from './selectors.ts';

export const tolerationSchema = withRules(
  z.strictObject({
    key: labelKeyText().exactOptional().describe('Key of the taint. Absent, with operator Exists: every taint.'),
    operator: z
      .enum(['Exists', 'Equal'])
      .exactOptional()
      .describe('Equal (default): key and value are compared. Exists: any value.'),
    value: labelValueText().exactOptional().describe('Value of the taint, for Equal.'),
    effect: z
      .enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'])
      .exactOptional()
      .describe('Effect of the taint. Absent: every effect.'),
    tolerationSeconds: integer(0, 2_147_483_647)
      .exactOptional()
      .describe('How long NoExecute is tolerated. Absent: forever.'),
  }),
  [
    {
      rule: "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
      message: 'a toleration without key needs operator Exists',
      fieldPath: '.operator',
      check: ({ key, operator }) => key !== undefined || operator === 'Exists',
    },
    {
      rule: "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
      message: 'a toleration with operator Exists has no value',
      fieldPath: '.value',
      check: ({ operator, value }) => operator !== 'Exists' || value === undefined || value === '',
    },
    {
      rule: "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
      message: 'tolerationSeconds is only for effect NoExecute',
      fieldPath: '.tolerationSeconds',
      check: ({ tolerationSeconds, effect }) => tolerationSeconds === undefined || effect === 'NoExecute',
    },
  ],
);

const nodeRequirement = withRules(
  z.strictObject({
    key: text(317, 1).describe('Key of the label of the node.'),
    operator: z
      .enum(['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'])
      .describe('How the label is compared with values.'),
    values: orderedList(text(63), 32)
      .exactOptional()
      .describe('Values to compare with: some for In and NotIn, one whole number for Gt and Lt, none else.'),
  }),
  [
    {
      rule: "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : self.operator in ['Gt', 'Lt'] ? has(self.values) && size(self.values) == 1 : !has(self.values) || size(self.values) == 0",
      message: 'In and NotIn need at least one of values, Gt and Lt exactly one, Exists and DoesNotExist none',
      fieldPath: '.values',
      check: ({ operator, values }) => {
        const count = values?.length ?? 0;
        if (operator === 'In' || operator === 'NotIn') return count > 0;
        return operator === 'Gt' || operator === 'Lt' ? count === 1 : count === 0;
      },
    },
  ],
);

/** The only field of a Node that Kubernetes compares, and how. */
const nodeField = z.strictObject({
  key: z.enum(['metadata.name']).describe('The field: metadata.name.'),
  operator: z.enum(['In', 'NotIn']).describe('Whether the Node is the one of values or another.'),
  values: orderedList(objectName('Node'), 1, 1).describe('The name of one Node.'),
});

const nodeTerm = z.strictObject({
  matchExpressions: orderedList(nodeRequirement, 16)
    .exactOptional()
    .describe('Comparisons of labels of the node, all of which must hold.'),
  matchFields: orderedList(nodeField, 16)
    .exactOptional()
    .describe('Comparisons of fields of the node (metadata.name), all of which must hold.'),
});

const weight = () => integer(1, 100).describe('How much it counts, 1 to 100.');

const nodeAffinity = z.strictObject({
  requiredDuringSchedulingIgnoredDuringExecution: z
    .strictObject({ nodeSelectorTerms: orderedList(nodeTerm, 16, 1).describe('Alternatives, one of which must hold.') })
    .exactOptional()
    .describe('What a node must have.'),
  preferredDuringSchedulingIgnoredDuringExecution: orderedList(
    z.strictObject({ weight: weight(), preference: nodeTerm.describe('What is preferred.') }),
    16,
  )
    .exactOptional()
    .describe('What a node should have.'),
});

const podTerm = withRules(
  z.strictObject({
    labelSelector: labelSelector().exactOptional().describe('Which pods count.'),
    namespaces: setOf(labelName('a namespace'), 32)
      .exactOptional()
      .describe('Namespaces of those pods. Default: the own.'),
    namespaceSelector: labelSelector().exactOptional().describe('Namespaces of those pods, by label.'),
    topologyKey: labelKeyText().describe(
      'Label of the node that says what counts as the same place, as in kubernetes.io/hostname.',
    ),
    matchLabelKeys: setOf(labelKeyText(), 16)
      .exactOptional()
      .describe("Keys whose value of the new pod's is added to labelSelector."),
    mismatchLabelKeys: setOf(labelKeyText(), 16)
      .exactOptional()
      .describe("Keys whose value of the new pod's is excluded in labelSelector."),
  }),
  [
    {
      rule: 'has(self.labelSelector) || ((!has(self.matchLabelKeys) || size(self.matchLabelKeys) == 0) && (!has(self.mismatchLabelKeys) || size(self.mismatchLabelKeys) == 0))',
      message: 'matchLabelKeys and mismatchLabelKeys need a labelSelector, which they add to',
      fieldPath: '.labelSelector',
      check: ({ labelSelector: selector, matchLabelKeys = [], mismatchLabelKeys = [] }) =>
        selector !== undefined || matchLabelKeys.length + mismatchLabelKeys.length === 0,
    },
    {
      rule: '!has(self.matchLabelKeys) || !has(self.mismatchLabelKeys) || !self.matchLabelKeys.exists(key, key in self.mismatchLabelKeys)',
      message: 'a key is in matchLabelKeys or in mismatchLabelKeys, not in both',
      fieldPath: '.mismatchLabelKeys',
      check: ({ matchLabelKeys = [], mismatchLabelKeys = [] }) =>
        !matchLabelKeys.some((key) => mismatchLabelKeys.includes(key)),
    },
  ],
);

const podAffinity = (near: string) =>
  z.strictObject({
    requiredDuringSchedulingIgnoredDuringExecution: orderedList(podTerm, 16)
      .exactOptional()
      .describe(`Pods that it must run ${near}.`),
    preferredDuringSchedulingIgnoredDuringExecution: orderedList(
      z.strictObject({
        weight: weight(),
        podAffinityTerm: podTerm.describe('Which pods, and what counts as the same place.'),
      }),
      16,
    )
      .exactOptional()
      .describe(`Pods that it should run ${near}.`),
  });

export const affinitySchema = z.strictObject({
  nodeAffinity: nodeAffinity.exactOptional().describe('Which nodes.'),
  podAffinity: podAffinity('near to').exactOptional().describe('Near to which pods.'),
  podAntiAffinity: podAffinity('away from').exactOptional().describe('Away from which pods.'),
});

const topologySpread = withRules(
  z.strictObject({
    maxSkew: integer(1, 100).describe('By how many pods two places may differ.'),
    topologyKey: labelKeyText().describe(
      'Label of the node that says what a place is, as in topology.kubernetes.io/zone.',
    ),
    whenUnsatisfiable: z.enum(['DoNotSchedule', 'ScheduleAnyway']).describe('What happens where it cannot be kept.'),
    labelSelector: labelSelector()
      .exactOptional()
      .describe('Which pods are counted. Default: the pods of this PortForward.'),
    minDomains: integer(1, 100)
      .exactOptional()
      .describe('The least number of places that must exist; only with DoNotSchedule.'),
    nodeAffinityPolicy: z
      .enum(['Honor', 'Ignore'])
      .exactOptional()
      .describe('Whether nodes that affinity excludes are counted.'),
    nodeTaintsPolicy: z.enum(['Honor', 'Ignore']).exactOptional().describe('Whether nodes with taints are counted.'),
    matchLabelKeys: setOf(labelKeyText(), 16)
      .exactOptional()
      .describe("Keys whose value of the new pod's is added to labelSelector."),
  }),
  [
    {
      rule: "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
      message: 'minDomains is only for whenUnsatisfiable DoNotSchedule',
      fieldPath: '.minDomains',
      check: ({ minDomains, whenUnsatisfiable }) => minDomains === undefined || whenUnsatisfiable === 'DoNotSchedule',
    },
  ],
);

export const topologySpreads = () =>
  withRules(orderedList(topologySpread, 8), [
    {
      rule: 'self.all(one, self.exists_one(other, other.topologyKey == one.topologyKey && other.whenUnsatisfiable == one.whenUnsatisfiable))',
      message: 'topologySpreadConstraints has one entry for each topologyKey and whenUnsatisfiable: remove the other',
      check: (all) =>
        repeated(all, ({ topologyKey, whenUnsatisfiable }) => `${topologyKey} ${whenUnsatisfiable}`).length === 0,
    },
  ]);
