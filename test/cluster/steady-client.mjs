// A client in a pod that opens a new connection every 100 ms and asks PostgreSQL for a first answer, until the file /tmp/stop exists. Fed to
// node on standard input. Argument: host. Prints how many there were and what became of those that failed.

import { lookup } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';

const [name] = process.argv.slice(2);
// Once: the cluster's DNS is not part of what is asked.
const { address } = await lookup(name);

// PostgreSQL's StartupMessage: its length, protocol 3.0, and two settings.
const settings = Buffer.from('user\0orders\0database\0orders\0\0');
const startup = Buffer.alloc(8 + settings.length);
startup.writeInt32BE(startup.length, 0);
startup.writeInt32BE(196_608, 4);
settings.copy(startup, 8);

const failures = [];
let attempts = 0;
let slowestMs = 0;

/** Resolves when the database has asked for a password (R), and with the failure otherwise. */
function once() {
  const began = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: 5432 });
    const end = (failure) => {
      slowestMs = Math.max(slowestMs, Math.round(performance.now() - began));
      if (failure !== undefined) failures.push(`${new Date().toISOString()} ${failure}`);
      socket.destroy();
      resolve();
    };
    socket.setTimeout(30_000, () => end('no answer within 30 s'));
    socket.on('connect', () => socket.write(startup));
    socket.on('data', (bytes) => end(bytes[0] === 0x52 ? undefined : bytes.toString()));
    socket.on('error', (error) => end(error.code));
    socket.on('end', () => end('ended without an answer'));
  });
}

const running = new Set();
while (!existsSync('/tmp/stop')) {
  attempts += 1;
  const attempt = once();
  running.add(attempt);
  void attempt.then(() => running.delete(attempt));
  if (attempts === 1) {
    await attempt;
    console.log('begun');
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
}
await Promise.all(running);
console.log(JSON.stringify({ attempts, failures, slowestMs }));
