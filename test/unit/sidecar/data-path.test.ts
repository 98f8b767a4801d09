// Which processes ask for the native engine at all, and what they say if they go without it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TunnelConfig } from '../../../src/contract/tunnel-config.ts';
import { createLog, type Logger } from '../../../src/process/log.ts';
import { ByteBudget } from '../../../src/sidecar/base/byte-budget.ts';
import type { EngineOptions } from '../../../src/sidecar/base/native-engine.ts';
import { chooseEngine, openEngine } from '../../../src/sidecar/data-path.ts';
import { FakeEngine } from '../../support/fake-engine.ts';

const hop = { host: 'bastion', port: 22, user: 'tunnel' };
const ssh = { driver: 'ssh', ssh: { jumpHosts: [] } } as unknown as TunnelConfig;
const behindJumpHost = { driver: 'ssh', ssh: { jumpHosts: [hop] } } as unknown as TunnelConfig;
const ssm = { driver: 'ssm' } as unknown as TunnelConfig;

function saying(make: (log: Logger) => unknown): { readonly engine: unknown; readonly said: string } {
  let said = '';
  const log = createLog({ destination: { write: (line) => void (said += line) } });
  return { engine: make(log), said };
}

const choose = (config: TunnelConfig, allowed: boolean, crashFile = '/nowhere/crashes'): ReturnType<typeof saying> =>
  saying((log) => chooseEngine({ config, allowed, crashFile, log }));

test('an administrator keeps it off, and the log says so', () => {
  const { engine, said } = choose(ssh, false);
  assert.equal(engine, undefined);
  assert.match(said, /the native data path is turned off/);
});

test('a tunnel that it could not carry does not ask for it, and says nothing', () => {
  for (const config of [behindJumpHost, ssm]) assert.deepEqual(choose(config, true), { engine: undefined, said: '' });
});

const onLinux = { skip: process.platform !== 'linux' && 'it is for Linux' };

test('after three crashes the engine is not even loaded: that may be what crashed', onLinux, () => {
  const isLoaded = (): boolean => readFileSync('/proc/self/maps', 'utf8').includes('engine.node');
  assert.equal(isLoaded(), false, 'nothing before has loaded it');
  const folder = mkdtempSync(join(tmpdir(), 'portforward-crashes-'));
  try {
    writeFileSync(join(folder, 'crashes'), `${Math.floor(Date.now() / 1000)}\n`.repeat(3));
    const { engine, said } = choose(ssh, true, join(folder, 'crashes'));
    assert.equal(engine, undefined);
    assert.match(said, /crashed three times in ten minutes/);
    assert.equal(isLoaded(), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an engine that the kernel has no descriptors for is left out, and the log says so', () => {
  class Refused extends FakeEngine {
    constructor(options: EngineOptions) {
      super(options);
      throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    }
  }
  const budget = new ByteBudget();
  const { engine, said } = saying((log) => openEngine({ interfaceVersion: 1, Engine: Refused }, budget, log));
  assert.equal(engine, undefined);
  assert.match(said, /too many open files.*the native data path could not be opened/);
  const opened = saying((log) => openEngine({ interfaceVersion: 1, Engine: FakeEngine }, budget, log));
  assert(opened.engine instanceof FakeEngine);
  assert.equal(opened.engine.options.budget, budget.cells);
  assert.deepEqual(openEngine(undefined, budget, createLog()), undefined);
});
