// How the API is called, and the forms of Kubernetes names, label keys and values that several blocks share.
// Neighbours: portforward.ts (the kind), pod.ts and service.ts (labels and annotations).
import { z } from 'zod';
import { boundedText, keysMatch, mapOf, text } from './building-blocks.ts';
import { matches, type Rule, withRules } from './rule.ts';

export const group = 'portforward.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;
export const kind = 'PortForward';
export const plural = 'portforwards';
export const singular = 'portforward';
export const shortName = 'pf';
export const category = 'tunnels';

/** On a PortForward; copied to the pod template: a change of its value reconnects all tunnels, one after the other. */
export const reconnectAnnotation = 'portforward.dev/reconnectAt';

/** The longest value of that annotation; a longer one is refused. */
export const maxReconnectAtLength = 64;

/** The longest metadata.name: children are called `pf-<name>` with a hash and must stay DNS labels. */
export const maxNameLength = 52;

const label = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const qualifiedKey =
  /^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$/;
const reservedPrefix =
  /^(portforward\.dev|app\.kubernetes\.io|argocd\.argoproj\.io|([a-z0-9.-]+\.)?helm\.sh|([a-z0-9.-]+\.)?k8s\.io|([a-z0-9.-]+\.)?kubernetes\.io)\//;

/** The name of another object of the same namespace. */
export const objectName = (what: string) =>
  withRules(text(253, 1), [
    matches(
      subdomain,
      `the name of a ${what} is made of lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit`,
    ),
  ]);

/** A DNS label that begins with a letter, as names of Services are. */
export const serviceName = () =>
  withRules(text(63, 1), [
    matches(
      /^[a-z]([a-z0-9-]*[a-z0-9])?$/,
      "the name of a Service is a DNS label: it begins with a lower-case letter, then lower-case letters, digits and '-', without a dot",
    ),
  ]);

/** A namespace's or container's name: a DNS label. */
export const labelName = (what: string) =>
  withRules(text(63, 1), [
    matches(label, `${what} is made of lower-case letters, digits and '-', and begins and ends with a letter or digit`),
  ]);

const keyForm =
  "a key is [prefix/]name: the prefix a DNS name in lower case, the name at most 63 letters, digits, '-', '_' or '.'";

/** Keys as Kubernetes wants them for labels, annotations, selectors and resources. */
export const qualified: readonly Rule<Record<string, unknown>>[] = [
  keysMatch(qualifiedKey, keyForm),
  {
    rule: "self.all(key, size(key) <= 317 && size(key.split('/')[size(key.split('/')) - 1]) <= 63)",
    message: 'the name part of a key has at most 63 characters, its prefix at most 253',
    check: (entries) =>
      Object.keys(entries).every((key) => key.length <= 317 && (key.split('/').at(-1) ?? '').length <= 63),
  },
];

const notReserved = (where: string) =>
  keysMatch<string>(
    reservedPrefix,
    `${where} must not have keys of portforward.dev/, app.kubernetes.io/, argocd.argoproj.io/, helm.sh/, *.k8s.io/ or *.kubernetes.io/: these belong to the operator and the cluster; use a prefix of your own`,
    false,
  );

/** A label's value: at most 63 characters. A pattern, because in selectors CEL over every value would exceed the API server's budget. */
export const labelValueText = () =>
  boundedText(63).regex(
    labelValue,
    "the value of a label is empty, or letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
  );

/** A key of a label, as selectors name it. */
export const labelKeyText = () => boundedText(317, 1).regex(qualifiedKey, keyForm);

/** Labels to match, as in nodeSelector and matchLabels: any prefix. */
export const matchLabels = (max = 32) => mapOf(labelValueText(), max, qualified);

/** Labels that a user adds to our objects: reserved prefixes are refused. */
export const ownLabels = (where: string) => mapOf(labelValueText(), 32, [...qualified, notReserved(where)]);

/** Annotations that a user adds to our objects: reserved prefixes are refused. */
export const ownAnnotations = (where: string) => mapOf(text(8192), 32, [...qualified, notReserved(where)]);

/** A reference to a Secret of the same namespace. */
export const secretRef = (keys: string) =>
  z
    .strictObject({
      name: objectName('Secret').describe('Name of the Secret. It must be in the namespace of the PortForward.'),
    })
    .describe(
      `The Secret with the credentials. ${keys} Only these keys are mounted, as files; the operator itself cannot read Secrets. Changes are picked up without a restart.`,
    );
