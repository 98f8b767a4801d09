// docs/errors.md: every reason that a person can meet in a condition, an Event, a log line or a database client's error.
// Neighbours: src/contract/error-codes.ts (the codes), src/contract/api/condition.ts (the reasons that are no errors).
import { conditionReasons } from '../../src/contract/api/condition.ts';
import type { ErrorCode } from '../../src/contract/error-code.ts';
import { errorCodes } from '../../src/contract/error-codes.ts';

const layers: Readonly<Record<ErrorCode['layer'], string>> = {
  document: 'The document',
  cluster: 'The cluster',
  bastion: 'The way to the bastion',
  destination: 'Behind the bastion',
  client: 'Clients',
};

const section = ([code, { permanent, meaning, cause, remedy }]: [string, ErrorCode]): string => `### ${code}

${meaning}

- Likely cause: ${cause}
- What to do: ${remedy}
- ${permanent ? 'Permanent: it stays until you change something; each change is tried automatically.' : 'Transient: retried automatically.'}
`;

/** The page as Markdown. */
export function errorsPage(): string {
  const entries: [string, ErrorCode][] = Object.entries(errorCodes);
  const parts = Object.entries(layers).map(([layer, title]) => {
    const sections = entries.filter(([, code]) => code.layer === layer).map(section);
    return `## ${title}\n\n${sections.join('\n')}`;
  });
  const others = Object.entries(conditionReasons).map(([reason, meaning]) => `| ${reason} | ${meaning} |`);
  return `<!-- Generated from src/contract/error-codes.ts and src/contract/api/condition.ts by \`npm run generate\`; do not edit. -->
# Reasons

\`kubectl get pf -o wide\` shows the reason of the condition Ready, \`kubectl describe pf\` all conditions with their sentences. The
same words are in Events, in the log and, for PostgreSQL, MySQL, Redis and HTTP, in the error that the client prints.

${parts.join('\n')}
## Reasons that are not errors

| Reason | Meaning |
|---|---|
${others.join('\n')}
`;
}
