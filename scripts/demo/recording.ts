// A run of a program as a picture that moves: each line appears when it was printed, pauses shortened. An SVG without scripts, which plays
// where a page shows it as an image; who wants no motion sees the whole at once.
// Neighbour: ../recording.ts makes the README's.

export interface TimedLine {
  readonly text: string;
  /** Milliseconds since the start. */
  readonly at: number;
}

const columns = 108;
const charWidth = 7.6;
const lineHeight = 18;
const margin = 16;
/** Nobody waits longer for the next line. */
const maxPauseMs = 1_500;

/** The picture of all lines, in their order. */
export function recordingOf(lines: readonly TimedLine[], title: string): string {
  const shown = lines.flatMap(({ text, at }) => wrapped(text).map((part) => ({ text: part, at })));
  let clock = 0;
  let before = 0;
  const rows = shown.map(({ text, at }, index) => {
    clock += Math.min(Math.max(0, at - before), maxPauseMs);
    before = at;
    const y = margin + lineHeight * (index + 1);
    const kind = text.startsWith('▸') ? ' class="chapter"' : text.trimStart().startsWith('$ ') ? ' class="prompt"' : '';
    return `<text${kind} x="${margin}" y="${y}" style="animation-delay:${(clock / 1000).toFixed(2)}s">${escaped(text)}</text>`;
  });
  const width = Math.ceil(columns * charWidth + 2 * margin);
  const height = lineHeight * shown.length + 2 * margin;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(title)}</title>
<style>
rect { fill: #14181f }
text { font: 12.6px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d6dde6; white-space: pre; opacity: 0; animation: appear 0.01s linear forwards }
.chapter { fill: #7cc7ff; font-weight: bold }
.prompt { fill: #9be28a }
@keyframes appear { to { opacity: 1 } }
@media (prefers-reduced-motion: reduce) { text { animation: none; opacity: 1 } }
</style>
<rect width="100%" height="100%" rx="8"/>
${rows.join('\n')}
</svg>
`;
}

function wrapped(text: string): string[] {
  const parts: string[] = [];
  for (let rest = text; ; rest = `      ${rest.slice(columns)}`) {
    parts.push(rest.slice(0, columns));
    if (rest.length <= columns) return parts;
  }
}

const escaped = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/[\p{Cc}]/gu, '');
