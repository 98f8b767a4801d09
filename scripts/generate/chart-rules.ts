// What the chart's templates include of the code: the rules of the controller's roles, and the keys of Secrets that its cage allows.
// Neighbours: src/controller/rbac.ts and src/contract/secrets.ts (the sources), helm/templates/{rbac,admission-controller}.yaml, ../generate.ts.
import { stringify } from 'yaml';
import { secretKeys } from '../../src/contract/secret-keys.ts';
import { controllerRules, leaseRules, type PolicyRule } from '../../src/controller/rbac.ts';

const yaml = (rules: readonly PolicyRule[]): string => stringify(rules, { lineWidth: 0, aliasDuplicateObjects: false });

/** `helm/templates/_rules.tpl`. */
export function chartRules(): string {
  return `{{- /* Generated from src/controller/rbac.ts and src/contract/secrets.ts by \`npm run generate\`; do not edit. */ -}}
{{- define "portforward.tunnelRules" -}}
${yaml(controllerRules)}{{- end -}}
{{- define "portforward.leaseRules" -}}
${yaml(leaseRules('{{ include "portforward.fullname" . }}'))}{{- end -}}
{{- define "portforward.secretKeys" -}}
${JSON.stringify(Object.values(secretKeys).flat())}
{{- end -}}
`;
}
