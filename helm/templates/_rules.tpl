{{- /* Generated from src/controller/{rbac.ts,children/} and src/contract/ by `npm run generate`; do not edit. */ -}}
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
    - apps
  resources:
    - replicasets
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
{{- define "portforward.installRules" -}}
- apiGroups:
    - portforward.dev
  resources:
    - installs
  verbs:
    - run
  resourceNames:
    - '{{ include "portforward.clusterName" . }}'
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
- apiGroups:
    - events.k8s.io
  resources:
    - events
  verbs:
    - create
    - patch
{{- end -}}
{{- define "portforward.cage.apiVersion" -}}
"portforward.dev/v1alpha1"
{{- end -}}
{{- define "portforward.cage.kind" -}}
"PortForward"
{{- end -}}
{{- define "portforward.cage.labels" -}}
{"app.kubernetes.io/name": dyn("portforward"), "app.kubernetes.io/component": dyn("tunnel"), "app.kubernetes.io/managed-by": dyn("portforward-operator")}
{{- end -}}
{{- define "portforward.cage.selectorLabel" -}}
"app.kubernetes.io/managed-by"
{{- end -}}
{{- define "portforward.cage.deployment" -}}
{"revisionHistoryLimit": dyn(2), "progressDeadlineSeconds": dyn(120), "strategy": dyn({"type": dyn("RollingUpdate"), "rollingUpdate": dyn({"maxUnavailable": dyn(0), "maxSurge": dyn(1)})})}
{{- end -}}
{{- define "portforward.cage.pod" -}}
{"automountServiceAccountToken": dyn(false), "enableServiceLinks": dyn(false), "securityContext": dyn({"runAsNonRoot": dyn(true), "runAsUser": dyn(65532), "runAsGroup": dyn(65532), "fsGroup": dyn(65532), "seccompProfile": dyn({"type": dyn("RuntimeDefault")})}), "restartPolicy": dyn("Always"), "dnsPolicy": dyn("ClusterFirst"), "schedulerName": dyn("default-scheduler")}
{{- end -}}
{{- define "portforward.cage.container" -}}
{"name": dyn("tunnel"), "securityContext": dyn({"allowPrivilegeEscalation": dyn(false), "readOnlyRootFilesystem": dyn(true), "capabilities": dyn({"drop": dyn([dyn("ALL")])})}), "terminationMessagePolicy": dyn("FallbackToLogsOnError"), "readinessProbe": dyn({"httpGet": dyn({"path": dyn("/readyz"), "port": dyn("pf-admin"), "scheme": dyn("HTTP")}), "periodSeconds": dyn(1), "timeoutSeconds": dyn(2), "failureThreshold": dyn(3), "successThreshold": dyn(1)}), "startupProbe": dyn({"httpGet": dyn({"path": dyn("/livez"), "port": dyn("pf-admin"), "scheme": dyn("HTTP")}), "periodSeconds": dyn(1), "timeoutSeconds": dyn(2), "failureThreshold": dyn(60), "successThreshold": dyn(1)}), "livenessProbe": dyn({"httpGet": dyn({"path": dyn("/livez"), "port": dyn("pf-admin"), "scheme": dyn("HTTP")}), "periodSeconds": dyn(10), "timeoutSeconds": dyn(5), "failureThreshold": dyn(6), "successThreshold": dyn(1)}), "terminationMessagePath": dyn("/dev/termination-log")}
{{- end -}}
{{- define "portforward.cage.templateAnnotations" -}}
{"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": dyn("tmp")}
{{- end -}}
{{- define "portforward.cage.serviceAccount" -}}
{"automountServiceAccountToken": dyn(false)}
{{- end -}}
{{- define "portforward.cage.containerName" -}}
"tunnel"
{{- end -}}
{{- define "portforward.cage.adminPort" -}}
{"name": dyn("pf-admin"), "containerPort": dyn(9808), "protocol": dyn("TCP")}
{{- end -}}
{{- define "portforward.cage.configVariable" -}}
"PORTFORWARD_CONFIG"
{{- end -}}
{{- define "portforward.cage.logLevelVariable" -}}
"PORTFORWARD_LOG_LEVEL"
{{- end -}}
{{- define "portforward.cage.environment" -}}
[dyn({"name": dyn("PORTFORWARD_POD_NAME"), "valueFrom": dyn({"fieldRef": dyn({"apiVersion": dyn("v1"), "fieldPath": dyn("metadata.name")})})}), dyn({"name": dyn("PORTFORWARD_POD_UID"), "valueFrom": dyn({"fieldRef": dyn({"apiVersion": dyn("v1"), "fieldPath": dyn("metadata.uid")})})})]
{{- end -}}
{{- define "portforward.cage.caVariable" -}}
{"name": dyn("NODE_EXTRA_CA_CERTS"), "value": dyn("/etc/portforward/ca/ca.crt")}
{{- end -}}
{{- define "portforward.cage.volumes" -}}
[dyn({"name": dyn("tmp"), "emptyDir": dyn({"sizeLimit": dyn("16Mi")})}), dyn({"name": dyn("memory"), "emptyDir": dyn({"medium": dyn("Memory"), "sizeLimit": dyn("1Mi")})})]
{{- end -}}
{{- define "portforward.cage.mounts" -}}
[dyn({"name": dyn("tmp"), "mountPath": dyn("/tmp")}), dyn({"name": dyn("memory"), "mountPath": dyn("/run/portforward")})]
{{- end -}}
{{- define "portforward.cage.caVolume" -}}
{"name": dyn("ca"), "configMap": dyn({"name": dyn("{{ .Values.tunnels.caBundle }}"), "optional": dyn(true), "items": dyn([dyn({"key": dyn("ca.crt"), "path": dyn("ca.crt")})]), "defaultMode": dyn(420)})}
{{- end -}}
{{- define "portforward.cage.caMount" -}}
{"name": dyn("ca"), "mountPath": dyn("/etc/portforward/ca"), "readOnly": dyn(true)}
{{- end -}}
{{- define "portforward.cage.secretKeys" -}}
["ssh-privatekey","identity","ssh-publickey-cert","passphrase","password","known_hosts","AWS_ACCESS_KEY_ID","AWS_SECRET_ACCESS_KEY","AWS_SESSION_TOKEN","FLY_API_TOKEN"]
{{- end -}}
{{- define "portforward.cage.insecureHostKeysOption" -}}
--allow-insecure-host-keys
{{- end -}}
{{- define "portforward.cage.nodeRoleOption" -}}
--allow-node-role
{{- end -}}
{{- define "portforward.cage.awsEndpointOption" -}}
--allowed-aws-endpoint
{{- end -}}
{{- define "portforward.cage.flyApiUrlOption" -}}
--fly-api-url
{{- end -}}
{{- define "portforward.cage.noNativeDataPathOption" -}}
--no-native-data-path
{{- end -}}
{{- define "portforward.cage.traceEndpointOption" -}}
--trace-endpoint
{{- end -}}
{{- define "portforward.cage.traceHeaderOption" -}}
--trace-header
{{- end -}}
{{- define "portforward.cage.traceMount" -}}
{"name": dyn("tracing"), "readOnly": dyn(true), "mountPath": dyn("/etc/portforward/tracing")}
{{- end -}}
