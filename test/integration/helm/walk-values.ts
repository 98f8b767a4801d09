// A value for a field of the API server's OpenAPI schema: valid where the schema alone can say what is valid, else from a short table.
// Neighbours: cage-walk.test.ts.

export interface Schema {
  readonly type?: string;
  readonly $ref?: string;
  readonly allOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
}

/** Where the API server asks for more than its schema says. */
const known: Readonly<Record<string, unknown>> = {
  activeDeadlineSeconds: 60,
  appArmorProfile: { type: 'Unconfined' },
  clusterIP: '198.18.0.99',
  clusterIPs: ['198.18.0.99'],
  dnsPolicy: 'Default',
  dnsConfig: { nameservers: ['8.8.8.8'] },
  env: [{ name: 'A', value: 'b' }],
  envFrom: [{ secretRef: { name: 's' } }],
  externalIPs: ['8.8.8.8'],
  finalizers: ['example.com/keep'],
  hostAliases: [{ ip: '10.0.0.1', hostnames: ['a'] }],
  hostIP: '10.0.0.1',
  imagePullSecrets: [{ name: 's' }],
  initContainers: [{ name: 'init', image: 'example.com/init' }],
  internalTrafficPolicy: 'Local',
  ipFamilies: ['IPv4'],
  ipFamilyPolicy: 'SingleStack',
  egress: [{}],
  lifecycle: { postStart: { exec: { command: ['a'] } } },
  loadBalancerIP: '10.0.0.1',
  ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'u' }],
  matchExpressions: [{ key: 'a', operator: 'Exists' }],
  preemptionPolicy: 'Never',
  readinessGates: [{ conditionType: 'example.com/ready' }],
  recursiveReadOnly: 'Enabled',
  resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }],
  restartPolicy: 'Never',
  runAsGroup: 0,
  runAsUser: 0,
  seccompProfile: { type: 'Unconfined' },
  seLinuxChangePolicy: 'Recursive',
  secrets: [{ name: 's' }],
  sessionAffinity: 'ClientIP',
  subPath: 'a',
  sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }],
  terminationMessagePath: '/app/main.js',
  volumeDevices: [{ name: 'tmp', devicePath: '/dev/example' }],
};

export class Schemas {
  readonly #all: Readonly<Record<string, Schema>>;

  /** Of the text of `/openapi/v3/<group>`. */
  constructor(text: string) {
    this.#all = (JSON.parse(text) as { components: { schemas: Record<string, Schema> } }).components.schemas;
  }

  /** The fields of a named type. @throws if there is no such type. */
  properties(name: string): Readonly<Record<string, Schema>> {
    const found = this.#all[name]?.properties;
    if (found === undefined) throw new Error(`no schema ${name}`);
    return found;
  }

  /** A value of the field that is not empty. */
  value(field: string, schema: Schema): unknown {
    return known[field] ?? this.#some(schema, 0);
  }

  #some(schema: Schema, depth: number): unknown {
    const inner = schema.$ref ?? schema.allOf?.[0]?.$ref;
    if (inner !== undefined) return this.#some(this.#all[inner.split('/').at(-1) ?? ''] ?? {}, depth + 1);
    if (schema.enum !== undefined) return schema.enum[0];
    switch (schema.type) {
      case 'boolean':
        return true;
      case 'integer':
        return 1;
      case 'number':
        return 1;
      case 'array':
        return [this.#some(schema.items ?? {}, depth + 1)];
      case 'object':
        return this.#object(schema, depth);
      default:
        return schema.oneOf === undefined ? 'example' : 1;
    }
  }

  #object({ properties = {}, required, additionalProperties }: Schema, depth: number): Record<string, unknown> {
    if (additionalProperties !== undefined) return { example: this.#some(additionalProperties, depth + 1) };
    const names = required ?? Object.keys(properties).slice(0, 1);
    if (depth > 6) return {};
    return Object.fromEntries(names.map((name) => [name, this.value(name, properties[name] ?? {})]));
  }
}
