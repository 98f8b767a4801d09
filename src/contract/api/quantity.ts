// Kubernetes' quantities (50m, 96Mi, 1): a text, or a whole number. In the CRD they are int-or-string with a pattern.
// Neighbours: amount.ts (what a quantity amounts to), pod.ts; scripts/generate/structural.ts knows the keyword.
import { z } from 'zod';
import { amountOf } from './amount.ts';
import { mapOf } from './building-blocks.ts';
import { qualified } from './names.ts';
import { celPattern, type Rule, withRules } from './rule.ts';

/** Without sign and exponent signs that nobody writes: what a resource request can be. RE2 and JavaScript read it alike. */
const form = /^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$/;

const sentence = "must be a quantity such as 50m, 0.5, 96Mi or 1Gi (quote a number with a point: '0.5')";

/** More digits than any amount of memory in bytes needs. */
const maxLength = 20;

const longExponent = /[eE][+-]?[0-9]{3}/;

/** A quantity, as text or whole number. */
const quantity = () =>
  z
    .union([z.int().min(0), z.string().max(maxLength).regex(form)], { error: sentence })
    .meta({ 'x-kubernetes-int-or-string': true, pattern: form.source, maxLength });

/** A resource is one of the node's own, or a device by its whole name. */
const ownResources = ['cpu', 'memory', 'ephemeral-storage'];
const celOwnResources = `[${ownResources.map((name) => `'${name}'`).join(', ')}]`;

/** The API server asks whether `requests.<name>` is a qualified name, too. */
const maxDevicePrefix = 253 - 'requests.'.length;

const isDevice = (name: string): boolean => name.includes('/') && !name.includes('kubernetes.io/');
const deviceCount = /^[0-9]{1,18}$/;
const celIsDevice = "key.contains('/') && !key.contains('kubernetes.io/')";

/**
 * Quantities by resource. The API server computes the power of ten of each quantity of a Deployment digit by digit: an exponent of nine
 * digits keeps it busy for minutes.
 */
const quantities = () =>
  mapOf(quantity(), 16, [
    ...qualified,
    {
      rule: "self.all(key, !string(self[key]).matches('[eE][+-]?[0-9]{3}'))",
      message: 'a quantity has at most two digits of exponent: write it with a suffix, as in 96Mi or 1Gi',
      check: (entries) => Object.values(entries).every((value) => !longExponent.test(String(value))),
    },
    {
      rule: `self.all(key, key in ${celOwnResources} || (key.contains('/') && !key.startsWith('requests.') && key.indexOf('/') <= ${maxDevicePrefix}))`,
      message: 'a resource is cpu, memory, ephemeral-storage, or the whole name of a device, as in example.com/device',
      check: (entries) =>
        Object.keys(entries).every(
          (key) =>
            ownResources.includes(key) ||
            (key.includes('/') && !key.startsWith('requests.') && key.indexOf('/') <= maxDevicePrefix),
        ),
    },
    {
      rule: `self.all(key, !(${celIsDevice}) || string(self[key]).matches(${celPattern(deviceCount)}))`,
      message: 'a device is counted in whole numbers (of at most 18 digits)',
      check: (entries) =>
        Object.entries(entries).every(([key, value]) => !isDevice(key) || deviceCount.test(String(value))),
    },
  ]);

type Quantities = Readonly<Record<string, number | string>>;

interface Resources {
  readonly requests?: Quantities;
  readonly limits?: Quantities;
}

/** What is beyond is not compared: the API server cuts amounts off somewhat above it, depending on how they are written. */
const comparable = '9E';
const comparableAmount = amountOf(comparable) ?? 0n;

/** Whether each request holds beside the limit of the same resource, if there is one. */
function requestsHold(
  { requests = {}, limits = {} }: Resources,
  holds: (name: string, request: bigint, limit: bigint | undefined) => boolean,
): boolean {
  return Object.entries(requests).every(([name, request]) => {
    const amount = amountOf(request);
    const isLimited = Object.hasOwn(limits, name);
    const limit = isLimited ? amountOf(limits[name]) : undefined;
    // A text that is no quantity has its own complaint.
    if (amount === undefined || (isLimited && limit === undefined) || amount > comparableAmount) return true;
    return holds(name, amount, limit);
  });
}

const celComparable = `isQuantity(string(self.requests[key])) && !quantity(string(self.requests[key])).isGreaterThan(quantity('${comparable}'))`;
const celLimit = 'has(self.limits) && key in self.limits';
const celIsLimit = 'isQuantity(string(self.limits[key]))';
const celCompared = 'quantity(string(self.requests[key])).compareTo(quantity(string(self.limits[key])))';

const limitRules: readonly Rule<Resources>[] = [
  {
    rule: `!has(self.requests) || self.requests.all(key, !(${celComparable}) || !(${celLimit}) || !${celIsLimit} || ${celCompared} <= 0)`,
    message: 'a request is at most the limit of the same resource: raise the limit or lower the request',
    fieldPath: '.requests',
    check: (resources) => requestsHold(resources, (_name, request, limit) => limit === undefined || request <= limit),
  },
  {
    rule: `!has(self.requests) || self.requests.all(key, !(${celIsDevice}) || !(${celComparable}) || (${celLimit} && (!${celIsLimit} || ${celCompared} == 0)))`,
    message: 'a request of a device needs the same number in limits',
    fieldPath: '.requests',
    check: (resources) =>
      requestsHold(resources, (name, request, limit) => !isDevice(name) || (limit !== undefined && request === limit)),
  },
];

/** Requests and limits as the API server takes them in a container: the rules of Kubernetes' own validation, told at the PortForward. */
export const resources = () =>
  withRules(
    z.strictObject({
      requests: quantities().exactOptional().describe('What the node reserves, as in {cpu: 50m, memory: 96Mi}.'),
      limits: quantities().exactOptional().describe('What the pod may use at most, as in {memory: 256Mi}.'),
    }),
    limitRules,
  );
