// The API's form of a moment. Neighbours: leaderelection/lease-record.ts, events/events.ts.

/** A date as the API's MicroTime. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
