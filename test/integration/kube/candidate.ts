// One replica of an operator, for the election tests: leads when it may, and while it leads writes its name into a
// ServiceAccount ten times a second, fenced as an operator's writes are. Prints `leading` after the first write.
// Usage: candidate.ts KUBECONFIG NAMESPACE IDENTITY
import { setTimeout as delay } from 'node:timers/promises';
import { kubeMetrics } from '../../../src/controller/kube/base/metrics.ts';
import { serviceAccounts } from '../../../src/controller/kube/base/resources.ts';
import { Elector } from '../../../src/controller/kube/leaderelection/elector.ts';
import { createKubeClient } from '../../../src/controller/kube/rest/kube.ts';
import { loadKubeConfig } from '../../../src/controller/kube/rest/kube-config.ts';
import { createTransport } from '../../../src/controller/kube/rest/transport.ts';
import { createLog } from '../../../src/process/log.ts';
import { createRegistry } from '../../../src/process/metrics.ts';
import { run } from '../../../src/process/run.ts';

const [, , file = '', namespace = '', identity = ''] = process.argv;
const log = createLog();

await run(
  async (signal) => {
    const metrics = kubeMetrics(createRegistry());
    const transport = createTransport({ config: loadKubeConfig({ file }), userAgent: identity, metrics, log });
    const elector = new Elector({
      kube: createKubeClient(transport, { connectionClass: 'lease' }),
      lease: { namespace, name: 'operator' },
      identity,
      metrics,
      log,
      timings: { leaseDurationMs: 15_000, renewDeadlineMs: 9_000, retryPeriodMs: 500 },
    });
    const kube = createKubeClient(transport, { fence: elector.fence(1_000) });
    await elector.run(async (leading) => {
      let told = false;
      while (!leading.aborted) {
        const metadata = {
          namespace,
          name: 'written',
          annotations: { writer: identity, at: String(performance.now()) },
        };
        const object = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
        try {
          await kube.apply(serviceAccounts, object, { signal: leading, fieldManager: 'candidate', deadlineMs: 1_000 });
          if (!told) process.stdout.write('leading\n');
          told = true;
        } catch (error) {
          log.info({ error }, 'did not write');
        }
        await delay(100);
      }
    }, signal);
    await transport.close();
  },
  { log },
);
