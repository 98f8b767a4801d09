{{- /*
  Parts of the policies on what the controller writes. They are allow-lists: `strangers` names each field of one level that the operator
  never writes. A field passes if it is free (another rule judges it), has the pinned value, is as it is stored already (others write into
  our objects, too), or is on the chart's list of what the cluster's own policies add. What comes of a later Kubernetes is refused.
*/ -}}

{{- /* A policy on what the controller writes, up to what it is about, with its binding. */ -}}
{{- define "portforward.cage" }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels:
    {{- .labels | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- .labels | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConditions:
  - name: the-controller
    expression: >-
      {{- .user | nindent 6 }}
{{- end }}

{{- /*
  Whether the controller asks. By its account; and because Kustomize's `namespace:` moves the account and not this text, by its account's
  name and the right that its role alone gives (rbac.yaml).
*/ -}}
{{- define "portforward.cage.user" -}}
{{- $name := include "portforward.serviceAccount" . -}}
request.userInfo.username == '{{ printf "system:serviceaccount:%s:%s" .Release.Namespace $name }}' ||
(request.userInfo.username.startsWith('system:serviceaccount:') && request.userInfo.username.endsWith(':{{ $name }}') &&
authorizer.group('portforward.dev').resource('installs').namespace(request.namespace).name('{{ include "portforward.clusterName" . }}').check('run').allowed())
{{- end -}}

{{- /* The controller's own namespace, wherever it was moved to. */ -}}
{{- define "portforward.cage.ownNamespace" -}}
request.userInfo.username.split(':')[2]
{{- end -}}

{{- /* What the cluster's own mutating policies add, as paths below the kind. */ -}}
{{- define "portforward.cage.added" -}}
{{- $paths := list -}}
{{- range .root.Values.admissionPolicies.controller.addedFields -}}
{{- if hasPrefix (printf "%s." $.kind) . -}}{{- $paths = append $paths (trimPrefix (printf "%s." $.kind) .) -}}{{- end -}}
{{- end -}}
{{ $paths | toJson }}
{{- end -}}

{{- /* The objects as maps, of which keys can be listed, and the owner's name. */ -}}
{{- define "portforward.cage.variables" -}}
- name: new
  expression: "object == null ? dyn({}) : dyn(object)"
- name: old
  expression: "oldObject == null ? dyn({}) : dyn(oldObject)"
- name: added
  expression: {{ include "portforward.cage.added" . | squote }}
- name: owner
  {{- if eq .kind "Service" }}
  # Empty where no PortForward controls it: then no label matches.
  expression: >-
    (variables.new.?metadata.?ownerReferences.orValue([]).filter(owner, owner.?controller.orValue(false)).map(owner, owner.name) + [''])[0]
  {{- else }}
  # That the name is the owner's is asked by the policy on owners.
  expression: "variables.new.metadata.name.startsWith('pf-') ? variables.new.metadata.name.substring(3) : ''"
  {{- end }}
- name: selector
  expression: >-
    {'portforward.dev/name': dyn(variables.owner), 'app.kubernetes.io/managed-by': dyn('portforward-operator')}
{{- end -}}

{{- /* Of the map `new` (stored as `old`, below `path`): the paths that are not ours. `free` is a list, `pinned` the expression of a map. */ -}}
{{- define "portforward.strangers" -}}
{{ .new }}.filter(key, !(key in {{ .free | toJson }}) && !(key in {{ .old }} && {{ .old }}[key] == {{ .new }}[key])
{{- with .pinned }} && !(key in {{ . }} && {{ . }}[key] == {{ $.new }}[key]){{ end -}}
{{- with .rule }} && !({{ . }}){{ end -}}
).map(key, '{{ .path }}' + key).filter(path, !(path in variables.added))
{{- with .pinned }} + {{ . }}.filter(key, !(key in {{ $.new }})).map(key, '{{ $.path }}' + key){{ end }}
{{- end -}}

{{- /* The same for metadata with its labels and annotations. `labels` and `annotations` are rules on the variable `key`. */ -}}
{{- define "portforward.cage.metadata" -}}
{{- /* The API server and the garbage collector keep the rest; a template has labels and annotations alone. */ -}}
{{- $free := list "labels" "annotations" "creationTimestamp" -}}
{{- if eq .path "metadata." -}}{{- $free = list "name" "namespace" "uid" "resourceVersion" "generation" "creationTimestamp" "managedFields" "selfLink" "labels" "annotations" "ownerReferences" -}}{{- end -}}
{{ include "portforward.strangers" (dict "new" .new "old" .old "path" .path "free" $free) }} +
{{ include "portforward.strangers" (dict "new" (printf "%s.?labels.orValue({})" .new) "old" (printf "%s.?labels.orValue({})" .old) "path" (printf "%slabels." .path) "free" (list) "pinned" "variables.labels" "rule" .labels) }} +
{{ include "portforward.strangers" (dict "new" (printf "%s.?annotations.orValue({})" .new) "old" (printf "%s.?annotations.orValue({})" .old) "path" (printf "%sannotations." .path) "free" (list) "pinned" .pinnedAnnotations "rule" .annotations) }}
{{- end -}}

{{- /* Refuses what `variables.strangers` lists. */ -}}
{{- define "portforward.cage.noStrangers" -}}
- expression: size(variables.strangers) == 0
  messageExpression: "{{ . }} has only what the operator writes, not ' + variables.strangers.join(', ')"
  message: {{ . | trimPrefix "'" }} has only what the operator writes
  reason: Forbidden
{{- end -}}

{{- /* On `key`: what the controller notes on each child for itself. The mark names its own install, never another. */ -}}
{{- define "portforward.cage.ownAnnotation" -}}
key == 'portforward.dev/applied' || (key == 'portforward.dev/install' && string(variables.new.metadata.annotations[key]).startsWith({{ include "portforward.cage.ownNamespace" . }} + '/'))
{{- end -}}

{{- /* On `key`: a label that the chart lets PortForwards set. */ -}}
{{- define "portforward.cage.userLabel" -}}
{{- if hasKey .Values "allowedLabels" -}}
{{ .Values.allowedLabels | toJson }}.exists(allowed, key == allowed || (allowed.endsWith('/') && key.startsWith(allowed)))
{{- else -}}
!key.startsWith('portforward.dev/') && !key.startsWith('app.kubernetes.io/')
{{- end -}}
{{- end -}}

{{- /* On `key`: an annotation that the chart lets PortForwards set. */ -}}
{{- define "portforward.cage.userAnnotation" -}}
{{- $prefixes := list -}}
{{- range .Values.allowedAnnotationPrefixes }}{{ $prefixes = append $prefixes (printf "%s/" (trimSuffix "/" .)) }}{{ end -}}
{{ $prefixes | toJson }}.exists(prefix, key.startsWith(prefix))
{{- end -}}
