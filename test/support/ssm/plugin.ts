// AWS's own client, the session-manager-plugin, on a session of the service: it checks the service, and the driver is measured against it. Built from AWS's module at the version that plugin/go.mod pins. Neighbours: session-manager.ts (the service), go-program.ts.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SSMClient, StartSessionCommand } from '@aws-sdk/client-ssm';
import { defined } from '../../../src/contract/defined.ts';
import { goProgram } from '../go-program.ts';
import type { SessionManager } from './session-manager.ts';

export interface PluginTarget {
  readonly instance: string;
  /** Undefined: a port of the node itself. */
  readonly host?: string;
  readonly port: number;
}

/** A running plugin with its local port open. */
export class Plugin {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #directory: string;

  /** Starts a session as the AWS CLI would and hands it to the plugin. Resolves once its port is open. */
  static async start(service: SessionManager, { instance, host, port }: PluginTarget): Promise<Plugin> {
    const program = await goProgram({
      name: 'session-manager-plugin',
      directory: join(import.meta.dirname, 'plugin'),
      package: 'github.com/aws/session-manager-plugin/src/sessionmanagerplugin-main',
    });
    const { endpoint, credentials } = service;
    const client = new SSMClient({ region: 'eu-west-1', endpoint, credentials });
    const request = {
      Target: instance,
      DocumentName:
        host === undefined ? 'AWS-StartPortForwardingSession' : 'AWS-StartPortForwardingSessionToRemoteHost',
      Parameters: {
        portNumber: [String(port)],
        localPortNumber: ['0'],
        ...defined({ host: host === undefined ? undefined : [host] }),
      },
    };
    const { SessionId, StreamUrl, TokenValue } = await client.send(new StartSessionCommand(request));
    client.destroy();
    const response = JSON.stringify({ SessionId, StreamUrl, TokenValue });
    // Here it puts the socket of its multiplexer, which it leaves behind.
    const directory = mkdtempSync(join(tmpdir(), 'portforward-plugin-'));
    const child = spawn(program, [response, 'eu-west-1', 'StartSession', '', JSON.stringify(request), endpoint], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        TMPDIR: directory,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_REGION: 'eu-west-1',
        AWS_EC2_METADATA_DISABLED: 'true',
      },
    });
    let said = '';
    const opened = new Promise<number>((resolve, reject) => {
      for (const output of [child.stdout, child.stderr]) {
        output.setEncoding('utf8').on('data', (text: string) => {
          said = (said + text).slice(-10_000);
          const found = /Port (\d+) opened for sessionId/.exec(said);
          if (found !== null) resolve(Number(found[1]));
        });
      }
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the plugin ended with ${code}: ${said}`)));
    });
    try {
      return new Plugin(child, directory, await opened);
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  private constructor(child: ChildProcess, directory: string, port: number) {
    this.#child = child;
    this.#directory = directory;
    this.port = port;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await once(this.#child, 'exit');
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
