// What the chart's templates include of the code: the rules of the controller's roles, and what its cage compares with.
// Neighbours: src/controller/rbac.ts (a source), cage-rules.ts, helm/templates/{rbac,admission-*}.yaml, ../generate.ts.
import { stringify } from 'yaml';
import { controllerRules, installRules, leaseRules, type PolicyRule } from '../../src/controller/rbac.ts';
import { cageRules } from './cage-rules.ts';

const yaml = (rules: readonly PolicyRule[]): string => stringify(rules, { lineWidth: 0, aliasDuplicateObjects: false });

/** `helm/templates/_rules.tpl`. */
export function chartRules(): string {
  const cage = Object.entries(cageRules())
    .map(([name, text]) => `{{- define "portforward.cage.${name}" -}}\n${text}\n{{- end -}}\n`)
    .join('');
  return `{{- /* Generated from src/controller/{rbac.ts,children/} and src/contract/ by \`npm run generate\`; do not edit. */ -}}
{{- define "portforward.tunnelRules" -}}
${yaml(controllerRules)}{{- end -}}
{{- define "portforward.installRules" -}}
${yaml(installRules('{{ include "portforward.clusterName" . }}'))}{{- end -}}
{{- define "portforward.leaseRules" -}}
${yaml(leaseRules('{{ include "portforward.fullname" . }}'))}{{- end -}}
${cage}`;
}
