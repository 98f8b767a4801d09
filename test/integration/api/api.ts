// A real API server with the CRD installed, and its verdicts on documents in the form in which `portforward check` gives its own.
// Neighbours: corpus.test.ts and the others of this folder; lab/cluster/api-server.ts starts the server.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { parse } from 'yaml';
import { type ApiServer, startApiServer } from '../../../lab/cluster/api-server.ts';
import type { Structural } from '../../../scripts/generate/structural.ts';
import { apiVersion, group, plural } from '../../../src/contract/api/names.ts';
import type { Issue } from '../../../src/contract/api/parse.ts';

const crdFile = join(import.meta.dirname, '../../../crds/portforward.yaml');
const crdPath = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions`;
/** The schema as the server publishes it. */
export const openApiPath = `/openapi/v3/apis/${apiVersion}`;
export const collection = `/apis/${apiVersion}/namespaces/default/${plural}`;

interface Answer {
  readonly status: number;
  /** The Warning headers, which kubectl prints. */
  readonly warnings: readonly string[];
  readonly body: Body;
}

/** The parts of the server's answers that tests read. */
interface Body {
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly field?: string; readonly message?: string }[] };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: unknown;
  readonly paths?: Readonly<Record<string, unknown>>;
  readonly components?: { readonly schemas: Readonly<Record<string, Structural>> };
}

export interface Api extends AsyncDisposable {
  readonly server: ApiServer;
  call(method: 'GET' | 'POST' | 'PUT' | 'PATCH', path: string, body?: string, contentType?: string): Promise<Answer>;
  /** What a dry run of a create says: complaints, none if it is accepted. */
  verdictOf(document: unknown): Promise<readonly Issue[]>;
}

/** Starts a server, installs the CRD and waits until it is established. */
export async function startApi(): Promise<Api> {
  const server = await startApiServer();
  const { clusters, users } = parse(readFileSync(server.kubeconfig, 'utf8')) as Kubeconfig;
  const decoded = (text = ''): string => Buffer.from(text, 'base64').toString();
  const agent = new Agent({
    connect: {
      ca: decoded(clusters[0]?.cluster['certificate-authority-data']),
      cert: decoded(users[0]?.user['client-certificate-data']),
      key: decoded(users[0]?.user['client-key-data']),
    },
  });
  const call: Api['call'] = async (method, path, body, contentType = 'application/json') => {
    const answer = await request(`${server.url}${path}`, {
      method,
      dispatcher: agent,
      headers: { 'content-type': contentType },
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.timeout(30_000),
    });
    const warning = answer.headers['warning'] ?? [];
    const warnings = Array.isArray(warning) ? warning : [warning];
    const text = await answer.body.text();
    // Paths that the server does not know (yet) are answered in plain text.
    const isJson = answer.headers['content-type'] === 'application/json';
    return { status: answer.statusCode, warnings, body: isJson ? (JSON.parse(text) as Body) : { message: text } };
  };
  const stop = async (): Promise<void> => {
    await agent.close();
    await server.stop();
  };
  try {
    await installCrd(call);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    server,
    call,
    verdictOf: async (document) => {
      const path = `${collection}?dryRun=All&fieldValidation=Strict`;
      return issuesOf(await call('POST', path, JSON.stringify(document)));
    },
    [Symbol.asyncDispose]: stop,
  };
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
  readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
}

async function installCrd(call: Api['call']): Promise<void> {
  const created = await call('POST', crdPath, readFileSync(crdFile, 'utf8'), 'application/yaml');
  assert.equal(created.status, 201, created.body.message);
  assert.deepEqual(created.warnings, [], 'the CRD is installed without a warning');
  for (const deadline = AbortSignal.timeout(20_000); ; await delay(50, undefined, { signal: deadline })) {
    const { status } = await call('GET', collection);
    // What kubectl explain reads appears a moment later.
    const schemas = status === 200 ? await call('GET', openApiPath) : undefined;
    if (schemas?.body.paths?.[`${collection.replace('default', '{namespace}')}`] !== undefined) return;
  }
}

/** The CRD's conditions, as `Type=Status`. */
export async function crdConditions(api: Api): Promise<string[]> {
  const { body } = await api.call('GET', `${crdPath}/${plural}.${group}`);
  const { conditions } = body.status as { conditions: readonly { type: string; status: string }[] };
  return conditions.map(({ type, status }) => `${type}=${status}`).toSorted();
}

/** The server's answer as a list of complaints. @throws AssertionError at an answer that is no verdict. */
function issuesOf({ status, body }: Answer): Issue[] {
  if (status === 201) return [];
  const message = body.message ?? '';
  const unknown = [...message.matchAll(/unknown field "([^"]+)"/g)].map(([, path = '']) => path);
  if (unknown.length > 0) return unknown.map((path) => ({ path, message: '' }));
  assert.equal(status, 422, `${status}: ${message}`);
  const causes = body.details?.causes ?? [];
  // Not told: that rules were not judged because the form is wrong already, and the scale subresource's echo of a wrong replicas.
  const told = causes.filter(
    ({ field, message: said = '' }) => field !== '<nil>' && !field?.startsWith('.') && !said.includes('accessor error'),
  );
  return told.map(({ field = '', message: said = '' }) => ({ path: field, message: said }));
}
