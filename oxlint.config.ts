// The linter's rules: correctness, the rooms (who may import whom), sizes, and the few calls that have one owner.
// Neighbours: scripts/rooms.ts (the table of rooms), scripts/check.ts runs it.
import { defineConfig, type OxlintConfig } from 'oxlint';
import { importRules, rooms } from './scripts/rooms.ts';

type Override = NonNullable<OxlintConfig['overrides']>[number];

const roomRules = Object.keys(rooms).map(
  (room): Override => ({
    files: [`${room}/*.ts`],
    rules: { 'no-restricted-imports': ['error', { patterns: importRules(room) }] },
  }),
);

export default defineConfig({
  plugins: ['typescript', 'import', 'node', 'unicorn', 'promise'],
  categories: { correctness: 'error' },
  rules: {
    'typescript/no-floating-promises': [
      'error',
      {
        allowForKnownSafeCalls: [
          {
            from: 'package',
            package: 'node:test',
            name: ['test', 'it', 'describe', 'suite', 'before', 'after', 'beforeEach', 'afterEach'],
          },
        ],
      },
    ],
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/no-explicit-any': 'error',
    'typescript/consistent-type-imports': 'error',
    'import/no-cycle': ['error', { ignoreTypes: false }],
    'eslint/eqeqeq': 'error',
    'eslint/no-console': 'error',
    'no-restricted-properties': [
      'error',
      {
        object: 'process',
        property: 'env',
        message: 'only main.ts, settings.ts and the command line read the environment',
      },
      { object: 'process', property: 'exit', message: 'only process/run.ts ends the process' },
    ],
  },
  overrides: [
    ...roomRules,
    {
      files: ['test/support/**'],
      rules: {
        'no-restricted-imports': [
          'error',
          {
            patterns: [
              { group: ['**/src/sidecar/drivers/**'], message: 'a fake that shares our codec shares our mistakes' },
            ],
          },
        ],
      },
    },
    {
      files: ['**/main.ts', '**/settings.ts', 'src/process/run.ts', 'src/cli/**', 'lab/**', 'scripts/**', 'test/**'],
      rules: { 'no-restricted-properties': 'off' },
    },
    { files: ['src/cli/**', 'lab/**', 'scripts/**', 'test/**'], rules: { 'eslint/no-console': 'off' } },
    {
      files: ['src/**'],
      rules: {
        'eslint/max-lines': ['error', { max: 300 }],
        'eslint/max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      },
    },
  ],
});
