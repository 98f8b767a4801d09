// A real API server with the chart in it, and the objects of one tunnel, written as the controller's user: the common beginning of the
// tests of the cage. Neighbours: chart.ts (renders), cage.test.ts, cage-walk.test.ts, cage-life.test.ts.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import { apiVersion, kind } from '../../../src/contract/api/names.ts';
import { type StoredPortForward, validPortForward } from '../../../src/controller/base/portforward.ts';
import { readSettings } from '../../../src/controller/base/settings.ts';
import { desiredChildren } from '../../../src/controller/children/index.ts';
import { appliedAnnotation, fieldManager } from '../../../src/controller/children/names.ts';
import { withAppliedHash } from '../../../src/controller/kube/apply/apply.ts';
import type { KubeObject } from '../../../src/controller/kube/base/object.ts';
import { controllerUser, namespace, renderText } from './chart.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- objects are broken here on purpose, in ways that no type allows
export type Loose = Record<string, any>;

export interface CageWorldOptions {
  /** Values of the chart. */
  readonly values?: readonly string[];
  /** The controller's flags that go with them. */
  readonly flags?: readonly string[];
  /** Of the PortForward. Default: one port through ssh. */
  readonly spec?: object;
}

const ssh = { user: 'tunnel', bastions: [{ host: 'bastion.example.com' }], secretRef: { name: 'orders-bastion' } };

export class CageWorld {
  readonly server: ApiServer;
  readonly #options: CageWorldOptions;
  #owner!: StoredPortForward;

  static async start(options: CageWorldOptions = {}): Promise<CageWorld> {
    const world = new CageWorld(await startApiServer(), options);
    try {
      await world.#install();
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  private constructor(server: ApiServer, options: CageWorldOptions) {
    this.server = server;
    this.#options = options;
  }

  async stop(): Promise<void> {
    await this.server.stop();
  }

  async #install(): Promise<void> {
    for (const name of [namespace, 'shop']) await this.server.kubectl(['create', 'namespace', name]);
    const input = await renderText(this.#options.values);
    await this.server.kubectl(['apply', '--server-side', '--filename', '-'], { input });
    await this.server.untilServed('portforwards.portforward.dev');
    const spec = this.#options.spec ?? { ports: [{ port: 5432, appProtocol: 'postgresql' }], ssh };
    await this.apply({ apiVersion, kind, metadata: { name: 'orders-db', namespace: 'shop' }, spec });
    const stored = await this.server.kubectl(['-n', 'shop', 'get', 'portforward', 'orders-db', '--output', 'json']);
    this.#owner = JSON.parse(stored) as StoredPortForward;
    await this.#everyPolicyActs();
  }

  /** Policies act a moment after they are stored: each must have refused something once. */
  async #everyPolicyActs(): Promise<void> {
    for (const object of this.children()) {
      object['metadata'].annotations['example.com/strange'] = 'x';
      await this.refused(object, /not metadata\.annotations\.example\.com\/strange/);
      delete object['metadata'].annotations['example.com/strange'];
      delete object['metadata'].ownerReferences;
      await this.refused(object, /only objects that a PortForward controls|not metadata|leads to/);
    }
  }

  /** Every object of the tunnel, as the controller applies it; each call gives new ones. */
  children(): Loose[] {
    const image = '--tunnel-image=ghcr.io/portforward/portforward:0.1.0';
    const { tunnel } = readSettings([image, ...(this.#options.flags ?? [])], { POD_NAMESPACE: namespace });
    return Object.values(desiredChildren(validPortForward(this.#owner), tunnel, false))
      .filter((child: KubeObject | undefined) => child !== undefined)
      .map((child: KubeObject) => structuredClone(withAppliedHash(child, this.#owner, appliedAnnotation)) as Loose);
  }

  child(wanted: string): Loose {
    const found = this.children().find((object) => object['kind'] === wanted);
    assert.ok(found, wanted);
    return found;
  }

  /** Applies as the API server's administrator. */
  async apply(object: object, args: readonly string[] = []): Promise<string> {
    const all = ['apply', '--server-side', '--force-conflicts', '--field-manager', fieldManager, ...args];
    return await this.server.kubectl([...all, '--filename', '-'], { input: JSON.stringify(object) });
  }

  /** Applies as the controller. */
  async write(object: object, args: readonly string[] = []): Promise<string> {
    return await this.apply(object, ['--as', controllerUser, ...args]);
  }

  /** What the API server says to the controller's write of it; '' if it takes it. Nothing is stored. */
  async refusal(object: object): Promise<string> {
    return await this.write(object, ['--dry-run=server']).then(
      () => '',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
  }

  /** @throws if the controller's write is not refused with the sentence within 20 s. */
  async refused(object: object, sentence: RegExp): Promise<void> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      const said = await this.refusal(object);
      if (sentence.test(said)) return;
      if (performance.now() > deadline) assert.match(said, sentence);
      await delay(100);
    }
  }
}
