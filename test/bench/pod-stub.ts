// Every tunnel pod of the benchmark: kwok gives pods addresses of a range that is routed to this machine, and this answers for all of them.
// Each address has a state of its own. Neighbour: controller-world.ts starts it.
import { createServer } from 'node:http';
import { adminPort } from '../../src/contract/pod.ts';

const since = new Map<string, string>();

const server = createServer((request, response) => {
  const address = request.socket.localAddress ?? '';
  let began = since.get(address);
  if (began === undefined) since.set(address, (began = new Date().toISOString()));
  const status = {
    version: 1,
    state: 'Connected',
    since: began,
    via: 'bastion-a.example.com:22',
    hostKeyFingerprint: 'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU',
    ports: [{ name: 'postgres', reachable: true }],
  };
  response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(status));
});
server.listen({ port: adminPort, host: '0.0.0.0', backlog: 4_096 }, () => console.log(`listening ${adminPort}`));
