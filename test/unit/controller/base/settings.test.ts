// Flags of `portforward controller`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flags } from '../../../../src/controller/base/flags.ts';
import { flagsHelp, readSettings } from '../../../../src/controller/base/settings.ts';

const required = ['--tunnel-image=img', '--operator-namespace=ops'];

test('two flags are enough', () => {
  const settings = readSettings(required, {});
  assert.equal(settings.tunnel.image, 'img');
  assert.equal(settings.className, '');
  assert.deepEqual(settings.tunnel.watchNamespaces, []);
  assert.deepEqual(settings.tunnel.allowedServiceTypes, ['ClusterIP']);
  assert.deepEqual(settings.tunnel.controllerPodLabels, {
    'app.kubernetes.io/name': 'portforward',
    'app.kubernetes.io/component': 'controller',
  });
});

test('lists are written with commas or by repeating the flag, and an empty one is empty', () => {
  const settings = readSettings(
    [...required, '--watch-namespaces=a, b', '--watch-namespaces=c', '--allowed-annotation-prefixes='],
    {},
  );
  assert.deepEqual(settings.tunnel.watchNamespaces, ['a', 'b', 'c']);
  assert.deepEqual(settings.tunnel.allowedAnnotationPrefixes, []);
});

test('the pod tells its name and namespace by the environment, and a flag wins', () => {
  const environment = { POD_NAMESPACE: 'from-env', POD_NAME: 'pod-1' };
  assert.equal(readSettings(['--tunnel-image=img'], environment).tunnel.operatorNamespace, 'from-env');
  assert.equal(readSettings(required, environment).tunnel.operatorNamespace, 'ops');
  assert.equal(readSettings(required, environment).podName, 'pod-1');
});

test('each flag becomes the field that its row names', () => {
  const settings = readSettings([...required, '--watch-namespaces=b,a,b', '--context=there', '--workers=3'], {});
  assert.deepEqual(settings.tunnel.watchNamespaces, ['b', 'a']);
  assert.deepEqual(settings.kubeconfig, { file: undefined, context: 'there' });
  assert.equal(settings.workers, 3);
  const fields = Object.values(flags).map(({ to }) => to);
  const { tunnel, kubeconfig, ...rest } = settings;
  const found = [
    ...Object.keys(rest),
    ...Object.keys(tunnel).map((field) => `tunnel.${field}`),
    ...Object.keys(kubeconfig).map((field) => `kubeconfig.${field}`),
  ];
  assert.deepEqual(found.toSorted(), fields.toSorted());
});

test('each wrong flag is named with what is wrong', () => {
  assert.throws(() => readSettings([], {}), /--tunnel-image is required\n--operator-namespace is required/);
  assert.throws(() => readSettings([...required, '--workers=many'], {}), /--workers/);
  assert.throws(() => readSettings([...required, '--workers='], {}), /--workers/);
  assert.throws(
    () => readSettings([...required, '--allowed-service-types=ExternalName'], {}),
    /--allowed-service-types/,
  );
  assert.throws(
    () => readSettings([...required, '--allowed-aws-endpoints=http://plain.example.com'], {}),
    /--allowed-aws-endpoints.* is https/,
  );
  assert.throws(() => readSettings([...required, '--metrics-scrape-from={'], {}), /--metrics-scrape-from is not JSON/);
  assert.throws(() => readSettings([...required, '--controller-pod-labels=a'], {}), /key=value/);
  assert.throws(() => readSettings([...required, '--no-such-flag'], {}), /no-such-flag/);
});

test('every flag is explained', () => {
  const help = flagsHelp();
  for (const name of Object.keys(flags)) assert.ok(help.includes(`--${name}`), name);
});
