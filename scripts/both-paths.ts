// The suites that run on both data paths of ssh, in TypeScript and through the engine.
// Neighbours: test.ts runs them twice, test/fuzz/native/sanitize.ts with sanitizers, test/support/data-path.ts says which path a run is about.

/** The suites of the ssh driver and of the sidecar that clients' bytes go through. */
export const onBothPaths = [
  'test/integration/ssh/driver-suite.test.ts',
  'test/integration/ssh/algorithms.test.ts',
  'test/integration/ssh/black-hole.test.ts',
  'test/integration/ssh/errors.test.ts',
  'test/integration/ssh/every-bastion.test.ts',
  'test/integration/ssh/hostile-bastion.test.ts',
  'test/integration/ssh/session.test.ts',
  'test/integration/sidecar/bastions.test.ts',
  'test/integration/sidecar/bytes.test.ts',
  'test/integration/sidecar/credentials.test.ts',
  'test/integration/sidecar/drain.test.ts',
  'test/integration/sidecar/flood.test.ts',
  'test/integration/sidecar/memory.test.ts',
  'test/integration/sidecar/psql.test.ts',
  'test/integration/sidecar/reasons.test.ts',
];
