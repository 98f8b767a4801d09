// A real API server for the tests of one file, with clients of any user and namespaces of their own.
import { randomUUID } from 'node:crypto';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import type { KubeObject, Resource } from '../../../src/controller/kube/base/object.ts';
import type { WritePolicy } from '../../../src/controller/kube/rest/kube.ts';
import { loadKubeConfig } from '../../../src/controller/kube/rest/kube-config.ts';
import { type Client, clientOf } from '../../unit/controller/kube/scripted-server.ts';

export interface RealApi extends AsyncDisposable {
  readonly server: ApiServer;
  /** With every right. */
  readonly admin: Client;
  /** A client that acts as `user`, who may do nothing until a role says so. */
  as(user: string, writes?: WritePolicy): Client;
  /** A new, empty namespace. */
  namespace(): Promise<string>;
}

const namespaces: Resource = { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false };

export async function startRealApi(): Promise<RealApi> {
  const server = await startApiServer();
  const admin = clientOf(loadKubeConfig({ file: server.kubeconfig }));
  const clients: Client[] = [admin];
  return {
    server,
    admin,
    as: (user, writes = {}) => {
      const config = loadKubeConfig({ file: server.kubeconfig });
      config.users = config.users.map((one) => ({ ...one, impersonateUser: user }));
      const client = clientOf(config, writes);
      clients.push(client);
      return client;
    },
    namespace: async () => {
      const name = `t-${randomUUID().slice(0, 8)}`;
      const object: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      await admin.kube.create(namespaces, object, { signal: new AbortController().signal });
      return name;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
      await server.stop();
    },
  };
}
