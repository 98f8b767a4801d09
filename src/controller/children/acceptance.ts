// What a valid document may still not ask of this install: the administrator's limits. Pure.
// Neighbours: settings.ts (the limits), reconcile.ts (refuses with Accepted=False).
import { isPlain } from '../../contract/api/building-blocks.ts';
import { maxReconnectAtLength, reconnectAnnotation } from '../../contract/api/names.ts';
import { checkEndpoints } from '../../contract/aws-endpoint.ts';
import { TunnelError } from '../../contract/errors.ts';
import type { ValidPortForward } from '../base/portforward.ts';
import type { TunnelSettings } from '../base/settings.ts';

/** Namespaces whose objects the cluster itself lives by. */
export const systemNamespaces: readonly string[] = ['kube-system', 'kube-public', 'kube-node-lease'];

/**
 * @throws TunnelError NamespaceNotAllowed, InsecureHostKeysNotAllowed, EndpointNotAllowed, ServiceTypeNotAllowed, AnnotationNotAllowed,
 * LabelNotAllowed, PriorityClassNotAllowed or InvalidSpec, naming the field.
 */
export function checkAllowed({ metadata, spec }: ValidPortForward, settings: TunnelSettings): void {
  checkNamespace(metadata.namespace, settings);
  if (spec.ssh?.hostKeyPolicy === 'InsecureIgnore' && !settings.allowInsecureHostKeys) {
    throw new TunnelError(
      'InsecureHostKeysNotAllowed',
      'spec.ssh.hostKeyPolicy is InsecureIgnore, but this operator runs without --allow-insecure-host-keys',
    );
  }
  if (spec.ssm !== undefined) {
    checkEndpoints(spec.ssm.endpoints, { region: spec.ssm.region, allowed: settings.allowedAwsEndpoints });
  }
  if (!settings.allowedServiceTypes.includes(spec.service.type)) {
    throw new TunnelError(
      'ServiceTypeNotAllowed',
      `spec.service.type is ${spec.service.type}, but this operator allows only ${settings.allowedServiceTypes.join(', ')}`,
    );
  }
  checkAnnotations('spec.pod.annotations', spec.pod?.annotations, settings);
  checkAnnotations('spec.service.annotations', spec.service.annotations, settings);
  checkLabels('spec.pod.labels', spec.pod?.labels, settings);
  checkLabels('spec.service.labels', spec.service.labels, settings);
  checkPriorityClass(spec.pod?.priorityClassName, settings);
  checkReconnectAt(metadata.annotations?.[reconnectAnnotation]);
}

/** The same list as the chart's admission policy has, so that the refusal is a sentence of ours. */
function checkNamespace(namespace: string, { operatorNamespace, watchNamespaces }: TunnelSettings): void {
  const isOwn = namespace === operatorNamespace && !watchNamespaces.includes(namespace);
  if (!isOwn && !systemNamespaces.includes(namespace)) return;
  const why = isOwn ? 'is the operator’s own, and watchNamespaces does not name it' : 'belongs to the cluster itself';
  throw new TunnelError('NamespaceNotAllowed', `the namespace ${namespace} ${why}: choose another one`);
}

function checkAnnotations(
  field: string,
  annotations: Readonly<Record<string, string>> | undefined,
  { allowedAnnotationPrefixes }: TunnelSettings,
): void {
  for (const key of Object.keys(annotations ?? {})) {
    const prefixOfKey = key.includes('/') ? key.slice(0, key.indexOf('/')) : '';
    if (allowedAnnotationPrefixes.some((prefix) => prefix.replace(/\/$/, '') === prefixOfKey)) continue;
    throw new TunnelError(
      'AnnotationNotAllowed',
      `${field} has ${key}, but the prefixes that this operator passes on are: ${listOf(allowedAnnotationPrefixes)}`,
    );
  }
}

/** A label decides whose Service sends traffic to the pods. An entry that ends with a slash stands for every key of that prefix. */
function checkLabels(
  field: string,
  labels: Readonly<Record<string, string>> | undefined,
  { allowedLabels }: TunnelSettings,
): void {
  for (const key of Object.keys(labels ?? {})) {
    if (allowedLabels.some((entry) => (entry.endsWith('/') ? key.startsWith(entry) : key === entry))) continue;
    throw new TunnelError(
      'LabelNotAllowed',
      `${field} has ${key}, but the labels that this operator passes on are: ${listOf(allowedLabels)}`,
    );
  }
}

function checkPriorityClass(name: string | undefined, { allowedPriorityClasses }: TunnelSettings): void {
  if (name === undefined || allowedPriorityClasses.includes(name)) return;
  throw new TunnelError(
    'PriorityClassNotAllowed',
    `spec.pod.priorityClassName is ${name}, but the classes that this operator allows are: ${listOf(allowedPriorityClasses)}`,
  );
}

/** It is copied into every pod template, and no schema of ours reaches an annotation. */
function checkReconnectAt(value: string | undefined): void {
  if (value === undefined || (value.length <= maxReconnectAtLength && isPlain(value))) return;
  throw new TunnelError(
    'InvalidSpec',
    `metadata.annotations: ${reconnectAnnotation} has more than ${maxReconnectAtLength} characters, or control or format characters: write a time, as in 2026-01-31T12:00:00Z`,
  );
}

const listOf = (allowed: readonly string[]): string => (allowed.length === 0 ? 'none' : allowed.join(', '));
