{{- /* What the objects of the controller are called and labelled. Selector labels never change: Deployments cannot follow. */ -}}

{{- define "portforward.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains "portforward" (printf "%s%s" .Release.Name .Values.nameOverride) -}}
{{ printf "%s%s" .Release.Name (ternary "" (printf "-%s" .Values.nameOverride) (empty .Values.nameOverride)) | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (default "portforward" .Values.nameOverride) | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- /* Cluster-wide objects carry the namespace too, so that two installs do not meet. */ -}}
{{- define "portforward.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "portforward.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "portforward.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "portforward.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "portforward.selectorLabels" -}}
app.kubernetes.io/name: portforward
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end -}}

{{- define "portforward.labels" -}}
{{ include "portforward.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "portforward.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* What the API server would add: written, so that nothing that compares with Git sees a difference. */ -}}
{{- define "portforward.matchDefaults" -}}
matchPolicy: Equivalent
namespaceSelector: {}
objectSelector: {}
{{- end -}}
