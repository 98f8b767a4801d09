// PortForwards and settings for the tests of this folder.
import type { PortForwardSpec } from '../../../src/contract/api/portforward.ts';
import { type ValidPortForward, validPortForward } from '../../../src/controller/base/portforward.ts';
import { readSettings, type TunnelSettings } from '../../../src/controller/base/settings.ts';

/** The README's example. */
const ordersDb = {
  ports: [{ port: 5432, name: 'postgres', destinationHost: 'orders.db.internal', appProtocol: 'postgresql' }],
  ssh: { user: 'tunnel', bastions: [{ host: 'bastion.example.com' }], secretRef: { name: 'orders-bastion' } },
};

/** A valid PortForward shop/orders-db; fields of the spec may be replaced, undefined removes one. */
export function portForward(
  more: { readonly [Field in keyof PortForwardSpec]?: unknown } = {},
  metadata: Partial<ValidPortForward['metadata']> = {},
): ValidPortForward {
  return validPortForward({
    apiVersion: 'portforward.dev/v1alpha1',
    kind: 'PortForward',
    metadata: {
      name: 'orders-db',
      namespace: 'shop',
      uid: '11111111-2222-3333-4444-555555555555',
      resourceVersion: '7',
      generation: 3,
      ...metadata,
    },
    spec: JSON.parse(JSON.stringify({ ...ordersDb, ...more })),
  });
}

export function tunnelSettings(...flags: string[]): TunnelSettings {
  const standard = ['--tunnel-image=registry.example/portforward:1.0.0', '--operator-namespace=portforward-system'];
  return readSettings([...standard, ...flags], {}).tunnel;
}
