// Carries a client half of an answer, and waits to be killed. Neighbour: addon.test.ts.
import { channelOf, confirmation, data } from '../../support/gcm-peer.ts';
import { engineWorld } from './engine-world.ts';

const world = await engineWorld({});
process.send?.(world.listener.port);
const channel = channelOf(await world.peer.next());
world.peer.send(confirmation(channel, 1), data(channel, 'half a'));
