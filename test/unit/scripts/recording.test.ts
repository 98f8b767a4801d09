import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordingOf } from '../../../scripts/demo/recording.ts';

const delays = (picture: string): number[] =>
  [...picture.matchAll(/animation-delay:([\d.]+)s/g)].map(([, text]) => Number(text));

test('lines appear in their order and time, and a pause lasts 1.5 s at most', () => {
  const picture = recordingOf(
    [
      { text: '$ demo', at: 0 },
      { text: 'one', at: 400 },
      { text: 'two', at: 60_400 },
    ],
    'a demo',
  );
  assert.deepEqual(delays(picture), [0, 0.4, 1.9]);
  assert.match(picture, /<text class="prompt"[^>]*>\$ demo<\/text>/);
});

test('text is text: no mark-up and no control characters come through, and long lines are wrapped', () => {
  const picture = recordingOf([{ text: `<b> & \u001B[1m${'x'.repeat(200)}`, at: 0 }], 'a <title>');
  assert.match(picture, /&lt;b&gt; &amp; \[1mx/);
  assert.match(picture, /<title>a &lt;title&gt;<\/title>/);
  assert.ok(!picture.includes('\u001B'));
  assert.equal(delays(picture).length, 2);
});
