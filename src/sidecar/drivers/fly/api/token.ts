// The access token as fly.io's API wants it in a header. Pure. The text of a token never leaves this file but in that header.
// Neighbours: graphql.ts sends it; docs/fly.md says how to make one.

const macaroon = /^fm[12]/;
const scheme = /^(flyv1|bearer)(\s+|$)/i;

/**
 * The value of the Authorization header: `FlyV1 …` with macaroons first where there are any, else `Bearer …`. Undefined for a text that
 * holds no token. A text may carry its scheme already, several tokens with commas between, and white space. (flyctl, tokens package)
 */
export function authorization(text: string): string | undefined {
  const parts = withoutScheme(text.trim())
    .split(',')
    .map((part) => withoutScheme(part.trim()))
    .filter((part) => part !== '');
  // A header cannot carry anything else, and a token is one of these characters.
  if (parts.length === 0 || parts.some((part) => !/^[\x21-\x7e]+$/.test(part))) return undefined;
  const macaroons = parts.filter((part) => macaroon.test(part));
  const others = parts.filter((part) => !macaroon.test(part));
  return macaroons.length > 0 ? `FlyV1 ${[...macaroons, ...others].join(',')}` : `Bearer ${others.join(',')}`;
}

function withoutScheme(text: string): string {
  let rest = text;
  while (scheme.test(rest)) rest = rest.replace(scheme, '');
  return rest;
}
