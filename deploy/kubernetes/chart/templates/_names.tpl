{{/* The name of every object: that of the release. */}}
{{- define "pressmark.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "pressmark.selector" -}}
app.kubernetes.io/name: pressmark
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pressmark.labels" -}}
{{ include "pressmark.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "pressmark.host" -}}
{{- (urlParse .Values.publicUrl).hostname -}}
{{- end -}}
