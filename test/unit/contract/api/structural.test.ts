// The converter fails closed: what a CRD cannot say throws at generation, because zod's own converter would drop it silently.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { structural } from '../../../../scripts/generate/structural.ts';
import { boundedText, integer, listBy, orderedList, text } from '../../../../src/contract/api/building-blocks.ts';
import { matches, withRules } from '../../../../src/contract/api/rule.ts';

/** What every text of the API holds back: control and format characters and separators of lines. */
const plainPattern = String.raw`^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$`;

const item = z.strictObject({ name: text(9).describe('The name.') });

const refused: Readonly<Record<string, readonly [z.ZodType, RegExp]>> = {
  'a refinement without a CEL twin': [text(9).refine((value) => value !== 'a'), /refinement without a CEL twin/],
  'a superRefine without a CEL twin': [item.superRefine(() => {}), /refinement without a CEL twin/],
  'an unbounded text': [z.string(), /needs maxLength/],
  'an unbounded number': [z.int(), /needs|minimum/],
  'a number that need not be whole': [z.number().min(0).max(1), /must be whole/],
  'a list without a list type': [z.array(text(9)).max(3), /needs x-kubernetes-list-type/],
  'an unbounded list': [z.array(text(9)).meta({ 'x-kubernetes-list-type': 'atomic' }), /needs maxItems/],
  'a map without a bound': [z.record(z.string(), text(9)), /needs maxProperties/],
  'an object that takes unknown fields': [z.object({ a: text(9).describe('a') }), /must be strict/],
  'a field without a description': [z.strictObject({ a: text(9) }), /a: has no description/],
  'a pattern that RE2 cannot read': [boundedText(9).regex(/a(?=b)/), /RE2 cannot read/],
  'a back reference': [boundedText(9).regex(/(a)\1/), /RE2 cannot read/],
  'a second pattern, which would replace the first': [text(9).regex(/a/), /one pattern of a text/],
  'a union': [z.union([text(9), integer(0, 1)]), /must be int-or-string/],
  'a union of objects': [z.discriminatedUnion('name', [z.strictObject({ name: z.literal('a') })]), /union/],
  'a tuple': [z.tuple([text(9)]), /tuple has no structural form/],
  anything: [z.any(), /any has no structural form/],
  'a nullable value': [text(9).nullable(), /nullable has no structural form/],
  'a plain optional value, which takes undefined': [text(9).optional(), /optional has no structural form/],
  'a transformation': [text(9).transform((value) => value.length), /pipe has no structural form/],
  'an id, which would become a reference': [text(9).meta({ id: 'x' }), /keyword id/],
  'a key of a list that may be absent': [
    listBy('name', z.strictObject({ name: text(9).exactOptional().describe('n') }), 3),
    /must be required or have a default/,
  ],
};

for (const [what, [schema, message]] of Object.entries(refused)) {
  test(`${what} is refused`, () => {
    assert.throws(() => structural(schema, 'spec'), message);
  });
}

test('the error names the path', () => {
  const deep = z.strictObject({ a: orderedList(z.strictObject({ b: z.string().describe('b') }), 3).describe('a') });
  assert.throws(() => structural(deep, 'spec'), /^Error: spec\.a\[\]\.b: /);
});

test('bounds, defaults, keys and rules arrive in the schema', () => {
  const schema = z.strictObject({
    count: integer(1, 9).default(3).describe('Count.'),
    name: withRules(text(9, 1), [matches(/^[a-z]+$/, 'lower case')])
      .exactOptional()
      .describe('Name.'),
    items: listBy('name', item, 4, 1).describe('Items.'),
  });
  assert.deepEqual(structural(schema, 'spec'), {
    type: 'object',
    properties: {
      count: { type: 'integer', format: 'int32', minimum: 1, maximum: 9, default: 3, description: 'Count.' },
      name: {
        type: 'string',
        minLength: 1,
        maxLength: 9,
        pattern: plainPattern,
        description: 'Name.',
        'x-kubernetes-validations': [{ rule: "self.matches('^[a-z]+$')", message: 'lower case' }],
      },
      items: {
        type: 'array',
        minItems: 1,
        maxItems: 4,
        description: 'Items.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
        items: {
          type: 'object',
          properties: { name: { type: 'string', maxLength: 9, pattern: plainPattern, description: 'The name.' } },
          required: ['name'],
        },
      },
    },
    required: ['items'],
  });
});
