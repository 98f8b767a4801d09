{{- /* Generated from src/controller/rbac.ts and src/contract/secrets.ts by `npm run generate`; do not edit. */ -}}
{{- define "portforward.tunnelRules" -}}
- apiGroups:
    - portforward.dev
  resources:
    - portforwards
  verbs:
    - get
    - list
    - watch
- apiGroups:
    - portforward.dev
  resources:
    - portforwards/status
  verbs:
    - patch
- apiGroups:
    - portforward.dev
  resources:
    - portforwards/finalizers
  verbs:
    - update
- apiGroups:
    - apps
  resources:
    - deployments
  verbs:
    - get
    - list
    - watch
    - create
    - patch
    - delete
- apiGroups:
    - ""
  resources:
    - services
    - serviceaccounts
  verbs:
    - get
    - list
    - watch
    - create
    - patch
    - delete
- apiGroups:
    - networking.k8s.io
  resources:
    - networkpolicies
  verbs:
    - get
    - list
    - watch
    - create
    - patch
    - delete
- apiGroups:
    - policy
  resources:
    - poddisruptionbudgets
  verbs:
    - get
    - list
    - watch
    - create
    - patch
    - delete
- apiGroups:
    - ""
  resources:
    - pods
  verbs:
    - get
    - list
    - watch
- apiGroups:
    - events.k8s.io
  resources:
    - events
  verbs:
    - create
    - patch
{{- end -}}
{{- define "portforward.leaseRules" -}}
- apiGroups:
    - coordination.k8s.io
  resources:
    - leases
  verbs:
    - create
- apiGroups:
    - coordination.k8s.io
  resources:
    - leases
  verbs:
    - get
    - update
  resourceNames:
    - '{{ include "portforward.fullname" . }}'
{{- end -}}
{{- define "portforward.secretKeys" -}}
["ssh-privatekey","identity","ssh-publickey-cert","passphrase","password","known_hosts","AWS_ACCESS_KEY_ID","AWS_SECRET_ACCESS_KEY","AWS_SESSION_TOKEN","FLY_API_TOKEN"]
{{- end -}}
