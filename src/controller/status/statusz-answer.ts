// The text that a pod answers at /statusz → TunnelStatus. Whoever runs code in that pod chooses it, and people read it in conditions,
// Events and terminals: so it is bounded, and cleaned of everything that could steer a terminal. Pure.
// Neighbours: statusz-reader.ts (fetches it), contract/tunnel-status.ts (its form).
import { type TunnelStatus, tunnelStatusSchema } from '../../contract/tunnel-status.ts';

export const maxAnswerBytes = 64 * 1024;

/** What tunnel-status.ts takes for one text. */
const maxText = 1024;
const maxDepth = 8;

/** @throws Error in one sentence without the pod's text. */
export function parseAnswer(text: string): TunnelStatus {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('the answer is not JSON');
  }
  const parsed = tunnelStatusSchema.safeParse(clean(value, 0));
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.slice(0, 3).map((issue) => issue.path.join('.') || 'the answer');
  throw new Error(`the answer has another form than this version knows: ${fields.join(', ')}`);
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value !== 'object' || value === null || depth > maxDepth) return typeof value === 'object' ? null : value;
  if (Array.isArray(value)) return value.map((item) => clean(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, clean(item, depth + 1)]));
}

/** Control, format (bidirectional overrides, zero-width) and separator characters become spaces; the rest is cut. */
export function cleanText(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]+/gu, ' ')
    .slice(0, maxText)
    .trim();
}
