// A client in a pod: carries bytes through the Service and prints one JSON line about what it saw. Fed to node on standard input after
// pseudo-random.mjs. Arguments: host, port, verb (get, put, drip), bytes, pause in ms (get: stops reading for that long in the middle).
import { createHash } from 'node:crypto';
import { connect } from 'node:net';

const [host, port, verb, size, pause = '0'] = process.argv.slice(2);
const bytes = Number(size);
const socket = connect({ host, port: Number(port), allowHalfOpen: true });
const hash = createHash('sha256');
let received = 0;
let answer = '';
let paused = false;
let error;

socket.on('connect', async () => {
  socket.write(verb === 'get' ? `get ${bytes}\n` : `${verb}\n`);
  if (verb !== 'put') return;
  for (const block of pseudoRandom(bytes)) {
    hash.update(block);
    if (!socket.write(block)) await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
  }
  // Half-close: the answer comes after our end.
  socket.end();
});
socket.on('data', (chunk) => {
  received += chunk.length;
  if (verb === 'put') answer += chunk.toString();
  if (verb === 'get') hash.update(chunk);
  if (verb === 'drip' && received === chunk.length) console.log(JSON.stringify({ first: true }));
  if (Number(pause) > 0 && !paused && received > bytes / 4) {
    paused = true;
    socket.pause();
    setTimeout(() => socket.resume(), Number(pause));
  }
});
socket.on('error', (cause) => {
  error = cause.code;
});
socket.on('end', () => {
  answer = answer.trim();
  console.log(JSON.stringify({ end: true, received, hash: hash.digest('hex'), answer }));
  socket.destroy();
});
socket.on('close', () => {
  if (error !== undefined) console.log(JSON.stringify({ error, received }));
});
