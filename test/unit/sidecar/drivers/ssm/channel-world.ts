// A data channel against the fake service of this process: the common beginning of the data channel's tests. What a test opens ends with it.
import { afterEach } from 'node:test';
import { TunnelError } from '../../../../../src/contract/errors.ts';
import { type Clock, systemClock } from '../../../../../src/process/clock.ts';
import { ByteBudget } from '../../../../../src/sidecar/base/byte-budget.ts';
import { DataChannel, type DataChannelOptions } from '../../../../../src/sidecar/drivers/ssm/data-channel.ts';
import { FakeService } from './fake-service.ts';
import { silentLog } from './silent-log.ts';

const services: FakeService[] = [];
const channels: DataChannel[] = [];

afterEach(async () => {
  // The goodbye must be answered: otherwise it would wait on a clock that stands still.
  for (const one of services) one.silent = false;
  await Promise.all(channels.splice(0).map((channel) => channel.close()));
  await Promise.all(services.splice(0).map((service) => service.stop()));
});

export async function service(): Promise<FakeService> {
  const one = await new FakeService().start();
  services.push(one);
  return one;
}

export interface Opened {
  readonly channel: DataChannel;
  readonly budget: ByteBudget;
  readonly changes: () => number;
}

export async function open(
  fake: FakeService,
  { clock = systemClock, ...more }: { clock?: Clock } & Partial<DataChannelOptions> = {},
): Promise<Opened> {
  const budget = new ByteBudget();
  let changes = 0;
  const channel = await DataChannel.open(
    {
      api: fake,
      ticket: await fake.startSession(),
      policy: { region: 'eu-west-1', allowed: [fake.origin.replace('ws:', 'http:')] },
      endpoint: '',
      clock,
      log: silentLog,
      remoteHost: false,
      target: 'i-0abc',
      destination: 'db:5432',
      proxy: {},
      largePayloads: () => false,
      watchIdle: true,
      budget,
      onChange: () => {
        changes += 1;
      },
      ...more,
    },
    new AbortController().signal,
  );
  channels.push(channel);
  return { channel, budget, changes: () => changes };
}

/** Sends bytes over a new stream and returns as many from the answer. */
export async function echo(channel: DataChannel, bytes: Buffer): Promise<Buffer> {
  const stream = channel.multiplexer.open();
  const got: Buffer[] = [];
  let length = 0;
  const all = new Promise<void>((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      got.push(chunk);
      length += chunk.length;
      if (length >= bytes.length) resolve();
    });
    stream.on('error', reject);
    stream.on('end', () => reject(new Error('ended early')));
  });
  stream.write(bytes);
  await all;
  stream.destroy();
  return Buffer.concat(got);
}

export function codeOf(error: unknown): string {
  return error instanceof TunnelError ? error.code : String(error);
}
