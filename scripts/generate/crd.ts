// The CustomResourceDefinition around the structural schema: names, subresources, printer columns.
// Neighbours: structural.ts, ../generate.ts (writes it), src/contract/api/.
import { stringify } from 'yaml';
import { type conditionReasons, unseenGeneration } from '../../src/contract/api/condition.ts';
import { category, group, kind, plural, shortName, singular, version } from '../../src/contract/api/names.ts';
import { PortForwardSchema } from '../../src/contract/api/portforward.ts';
import { type Structural, structural } from './structural.ts';

const { shape } = PortForwardSchema;

/** The schema of the whole kind. metadata is the API server's own; only the name may be mentioned (a rule points at it). */
export function kindSchema(): Structural {
  const meta = PortForwardSchema.meta() ?? {};
  const validations = meta['x-kubernetes-validations'] as NonNullable<Structural['x-kubernetes-validations']>;
  const description = meta.description ?? '';
  const status = structural(shape.status, 'status');
  return {
    type: 'object',
    description,
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: 'portforward.dev/v1alpha1' },
      kind: { type: 'string', description: 'PortForward' },
      metadata: { type: 'object', properties: { name: { type: 'string' } } },
      spec: structural(shape.spec, 'spec'),
      status: { ...status, default: statusBeforeAny },
    },
    'x-kubernetes-validations': validations,
  };
}

/**
 * Until an operator has written a status, kstatus (Flux, `kubectl wait`) must not take the object for finished, and a person must see what is
 * waited for: nobody may serve the class.
 */
const statusBeforeAny = {
  observedGeneration: unseenGeneration,
  conditions: [
    {
      type: 'Ready',
      status: 'Unknown',
      reason: 'Pending' satisfies keyof typeof conditionReasons,
      message: 'Waiting for an operator that serves spec.className: none has looked at this document yet.',
      lastTransitionTime: '1970-01-01T00:00:00Z',
    },
  ],
};

const ofCondition = (type: string, field: string): string => `.status.conditions[?(@.type=="${type}")].${field}`;

const columns = [
  {
    name: 'Ready',
    type: 'string',
    jsonPath: ofCondition('Ready', 'status'),
    description: 'Whether clients are carried to the destination.',
  },
  { name: 'Driver', type: 'string', jsonPath: '.status.driver', description: 'ssh, ssm or fly.' },
  {
    name: 'Via',
    type: 'string',
    jsonPath: '.status.via',
    description: 'The bastions, nodes or gateways of the ready pods.',
  },
  { name: 'Address', type: 'string', jsonPath: '.status.address', description: 'Host name that applications dial.' },
  { name: 'Ready-Pods', type: 'string', jsonPath: '.status.readyPods', description: 'Tunnel pods: ready/wanted.' },
  {
    name: 'Age',
    type: 'date',
    jsonPath: '.metadata.creationTimestamp',
    description: 'Since when the PortForward exists.',
  },
  {
    name: 'Reason',
    type: 'string',
    priority: 1,
    jsonPath: ofCondition('Ready', 'reason'),
    description: 'Why it is ready or not; docs/errors.md explains each.',
  },
  {
    name: 'Destinations',
    type: 'string',
    priority: 1,
    jsonPath: '.status.destinations',
    description: 'Where the ports lead.',
  },
];

/** The CRD as an object. */
function crd() {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames: [shortName], categories: [category] },
      scope: 'Namespaced',
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          additionalPrinterColumns: columns,
          selectableFields: [{ jsonPath: '.spec.className' }],
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          schema: { openAPIV3Schema: kindSchema() },
        },
      ],
    },
  };
}

/** As YAML 1.1, which kubectl and the API server read: there a bare Off is false. */
const yaml = (value: unknown): string =>
  stringify(value, { version: '1.1', lineWidth: 120, aliasDuplicateObjects: false });

/** `crds/portforward.yaml`. */
export function crdYaml(): string {
  return `# Generated from src/contract/api by \`npm run generate\`; do not edit.\n${yaml(crd())}`;
}

/** The chart's copy: can be left out, and is kept by `helm uninstall` where the values say so (its deletion deletes every tunnel). */
export function crdTemplate(): string {
  const { apiVersion, kind: crdKind, metadata, spec } = crd();
  const body = yaml({ spec }).replaceAll('{{', '{{ "{{" }}');
  return `{{- /* Generated from src/contract/api by \`npm run generate\`; do not edit. */ -}}
{{- if .Values.crds.enabled }}
apiVersion: ${apiVersion}
kind: ${crdKind}
metadata:
  name: ${metadata.name}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
${body}{{- end }}
`;
}
