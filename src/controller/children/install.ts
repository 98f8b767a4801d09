// Which install keeps the objects of a tunnel: each child is marked with it, so that a second install of the same class sees the first and
// changes nothing. Pure.
// Neighbours: index.ts (marks), ensure-children.ts (reads the marks), helm/templates/admission-*.yaml (allow no other mark).
import type { TunnelSettings } from '../base/settings.ts';
import type { KubeObject } from '../kube/base/object.ts';
import { installAnnotation } from './names.ts';

/** Namespace and name of the Lease: two controllers with the same Lease are replicas of one install. */
export const installOf = ({ operatorNamespace, leaseName }: TunnelSettings): string =>
  `${operatorNamespace}/${leaseName}`;

/** The child with the mark of its install. */
export const marked = <T extends KubeObject>(child: T, install: string): T => ({
  ...child,
  metadata: { ...child.metadata, annotations: { ...child.metadata.annotations, [installAnnotation]: install } },
});

/** The install that keeps a child; undefined if it was written by a release without marks. */
export const markOf = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.[installAnnotation];
