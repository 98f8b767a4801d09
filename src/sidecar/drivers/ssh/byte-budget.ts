// The pod's one byte budget, under the name by which this folder knows it. Neighbours: inbound-window.ts spends it on windows,
// channel-stream.ts on parked writes; the bridge counts what waits for slow clients against the same number.
export { ByteBudget, podBufferBytes } from '../../byte-budget.ts';
