// The states of one channel of a session, from the dial to the far side's last message about it. Neighbour: session.ts moves them on.
import type { Destination } from '../../../../contract/tunnel-config.ts';
import type { Trace } from '../../../base/trace.ts';
import type { ChannelStream } from './channel-stream.ts';
import type { InboundWindow } from './inbound-window.ts';

/** A dial that is not answered yet. */
export interface Opening {
  readonly state: 'opening';
  readonly destination: Destination;
  readonly inbound: InboundWindow;
  readonly trace: Trace;
  readonly resolve: (stream: ChannelStream) => void;
  readonly reject: (error: unknown) => void;
}

interface Open {
  readonly state: 'open';
  readonly stream: ChannelStream;
}

/** Nobody waits for this dial any more: if the far side still opens the channel, we close it and keep its id until they close it too. */
interface Closing {
  readonly state: 'closing';
}

export type Channel = Opening | Open | Closing;
