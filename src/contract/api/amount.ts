// What a quantity of Kubernetes amounts to (50m, 96Mi, 1): for comparing, as the API server compares.
// Neighbours: quantity.ts (which texts are one), controller/kube/apply/subset.ts (whether a stored object has what is wanted).

const factors: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 1_000n,
  m: 1_000_000n,
  '': 10n ** 9n,
  k: 10n ** 12n,
  M: 10n ** 15n,
  G: 10n ** 18n,
  T: 10n ** 21n,
  P: 10n ** 24n,
  E: 10n ** 27n,
  Ki: 1_024n * 10n ** 9n,
  Mi: 1_024n ** 2n * 10n ** 9n,
  Gi: 1_024n ** 3n * 10n ** 9n,
  Ti: 1_024n ** 4n * 10n ** 9n,
  Pi: 1_024n ** 5n * 10n ** 9n,
  Ei: 1_024n ** 6n * 10n ** 9n,
};

/** A quantity in billionths (the API's own precision), or undefined if it is none. `0.5`, `500m` and `5e-1` are equal. */
export function amountOf(value: unknown): bigint | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined;
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3})|(n|u|m|k|M|G|T|P|E|[KMGTPE]i)?)$/.exec(String(value));
  if (match === null) return undefined;
  const [, sign = '', whole = '', fraction = '', exponent = '0', suffix = ''] = match;
  if (whole === '' && fraction === '') return undefined;
  const factor = factors[suffix];
  if (factor === undefined) return undefined;
  let numerator = BigInt(whole + fraction) * factor;
  const power = Number(exponent) - fraction.length;
  const scale = 10n ** BigInt(Math.abs(power));
  // The API rounds up what it cannot hold.
  numerator = power >= 0 ? numerator * scale : (numerator + scale - 1n) / scale;
  return sign === '-' ? -numerator : numerator;
}
