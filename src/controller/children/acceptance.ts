// What a valid document may still not ask of this install: the administrator's limits. Pure.
// Neighbours: settings.ts (the limits), reconcile.ts (refuses with Accepted=False).
import { checkEndpoints } from '../../contract/aws-endpoint.ts';
import { TunnelError } from '../../contract/errors.ts';
import type { ValidPortForward } from '../base/portforward.ts';
import type { TunnelSettings } from '../base/settings.ts';

/** @throws TunnelError InsecureHostKeysNotAllowed, EndpointNotAllowed, ServiceTypeNotAllowed or AnnotationNotAllowed, naming the field. */
export function checkAllowed({ spec }: ValidPortForward, settings: TunnelSettings): void {
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
}

function checkAnnotations(
  field: string,
  annotations: Readonly<Record<string, string>> | undefined,
  { allowedAnnotationPrefixes }: TunnelSettings,
): void {
  for (const key of Object.keys(annotations ?? {})) {
    const prefixOfKey = key.includes('/') ? key.slice(0, key.indexOf('/')) : '';
    if (allowedAnnotationPrefixes.some((prefix) => prefix.replace(/\/$/, '') === prefixOfKey)) continue;
    const allowed = allowedAnnotationPrefixes.length === 0 ? 'none' : allowedAnnotationPrefixes.join(', ');
    throw new TunnelError(
      'AnnotationNotAllowed',
      `${field} has ${key}, but the prefixes that this operator passes on are: ${allowed}`,
    );
  }
}
