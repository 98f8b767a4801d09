// Whoever attacks an admin port: connections that ask once and stay, and come back a second after they are closed.
// Usage: node hostile-connections.mjs '{"targets":[{"host","port"}],"addresses":["" or an own address],"count":1000,"least":2000,"seconds":40}'
// Prints one JSON line for each target when the time is over and each has had `least` connections, at the latest after four times as long.
import { connect } from 'node:net';

const { targets, addresses, count, least, seconds } = JSON.parse(process.argv.at(-1));
let ended = false;

const seen = targets.map(({ host, port }) => {
  const figures = { host, port, opened: 0, closed: 0, open: 0, mostOpen: 0 };
  const open = (localAddress) => {
    const socket = connect({ host, port, ...(localAddress !== '' && { localAddress }) });
    socket.on('error', () => undefined);
    socket.on('data', () => undefined);
    socket.once('connect', () => {
      figures.opened += 1;
      figures.open += 1;
      figures.mostOpen = Math.max(figures.mostOpen, figures.open);
      socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
      socket.once('close', () => {
        figures.open -= 1;
        figures.closed += 1;
      });
    });
    socket.once('close', () => {
      if (!ended) setTimeout(open, 1_000, localAddress);
    });
  };
  for (let index = 0; index < count; index++) open(addresses[index % addresses.length]);
  return figures;
});

const begun = performance.now();
setInterval(() => {
  const passed = (performance.now() - begun) / 1_000;
  const enough = seen.every(({ opened }) => opened > least);
  if (passed < seconds || (!enough && passed < 4 * seconds)) return;
  ended = true;
  for (const figures of seen) console.log(JSON.stringify(figures));
  process.exit();
}, 100);
