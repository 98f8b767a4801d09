// What the objects of one tunnel are called and labelled. Never change a selector label: Deployments cannot follow.
// Neighbours: the other files of this folder; watches.ts finds owners by these labels.
import type { ValidPortForward } from '../base/portforward.ts';

/** Every object of ours carries it; the reflectors select by it. */
const managedByLabel = 'app.kubernetes.io/managed-by';
const managedBy = 'portforward-operator';
export const managedSelector = `${managedByLabel}=${managedBy}`;

/** The PortForward's name on each of its objects and pods. */
export const nameLabel = 'portforward.dev/name';

/** Owns our fields of the children forever: renaming it would leave the old fields behind. */
export const fieldManager = 'portforward-operator';
export const statusFieldManager = 'portforward-operator-status';

/** On a child: hash of what was applied last. */
export const appliedAnnotation = 'portforward.dev/applied';

/** On a child: which install keeps it, as the namespace and name of its Lease. */
export const installAnnotation = 'portforward.dev/install';

/** On the Deployment: the generation it was computed from. It distinguishes a user's change from the operator's. */
export const generationAnnotation = 'portforward.dev/generation';

/** On the pod template, and so on every pod: which template it was made from. */
export const templateAnnotation = 'portforward.dev/template';

/** On the pod template: hash of the cloud identity that the ServiceAccount stands for. */
export const identityAnnotation = 'portforward.dev/identity';

/** Of Deployment, ServiceAccount, NetworkPolicy and budget, so that they do not meet an application of the database's name. */
export const childPrefix = 'pf-';
export const childName = ({ metadata }: { readonly metadata: { readonly name: string } }): string =>
  `${childPrefix}${metadata.name}`;

/** What applications dial. */
export const serviceName = ({ metadata, spec }: ValidPortForward): string => spec.service.name ?? metadata.name;

/** Finds the pods of one tunnel. */
export const selectorLabels = ({ metadata }: Pick<ValidPortForward, 'metadata'>): Record<string, string> => ({
  [managedByLabel]: managedBy,
  [nameLabel]: metadata.name,
});

/** The labels of every object of one tunnel. Nothing comes from the PortForward's own labels: Argo CD would prune what it finds labelled as its own. */
export const commonLabels = (portForward: Pick<ValidPortForward, 'metadata'>): Record<string, string> => ({
  'app.kubernetes.io/name': 'portforward',
  'app.kubernetes.io/component': 'tunnel',
  ...selectorLabels(portForward),
});

/** The selector as `status.selector` and `kubectl get pods -l` want it. */
export const selectorText = (portForward: Pick<ValidPortForward, 'metadata'>): string =>
  Object.entries(selectorLabels(portForward))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');

/** metadata of a child: named, labelled and owned. */
export const childMetadata = (
  portForward: ValidPortForward,
  name: string,
  labels: Readonly<Record<string, string>> = {},
  annotations: Readonly<Record<string, string>> = {},
) => ({
  name,
  namespace: portForward.metadata.namespace,
  labels: { ...labels, ...commonLabels(portForward) },
  ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
});
