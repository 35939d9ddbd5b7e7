{{- define "marmita.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what belongs to the release. It leaves room for a model's name: together they have 63 characters. */}}
{{- define "marmita.fullname" -}}
{{- $name := include "marmita.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $both .Values.fullnameOverride | trunc 47 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects all pods of the release. Together with the component, those of one deployment. */}}
{{- define "marmita.selectorLabels" -}}
app.kubernetes.io/name: {{ include "marmita.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "marmita.labels" -}}
{{ include "marmita.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "marmita.serviceAccountName" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "marmita.fullname" .) "default" -}}
{{- default $own .Values.serviceAccount.name -}}
{{- end -}}

{{/* An image, from a list: where in the values it stands, and what stands there. */}}
{{- define "marmita.image" -}}
{{- $missing := printf "%s.tag is missing: the version of the Bento, as `bentoml list` shows it" (first .) -}}
{{- $image := last . -}}
{{- printf "%s:%s" $image.repository (required $missing $image.tag) -}}
{{- end -}}

{{/* The deployments, by component: name, image, resources, replicas, autoscaling. */}}
{{- define "marmita.deployments" -}}
{{- $fullname := include "marmita.fullname" . -}}
{{- $common := pick .Values "resources" "replicas" "autoscaling" -}}
{{- $deployments := dict -}}
{{- if eq .Values.mode "together" -}}
  {{- $own := dict "name" $fullname "image" (include "marmita.image" (list "image" .Values.image)) -}}
  {{- $_ := merge $own $common | set $deployments "all-models" -}}
{{- else -}}
  {{- range $model, $values := .Values.models -}}
    {{- $image := include "marmita.image" (list (printf "models.%s.image" $model) $values.image) -}}
    {{- $own := dict "name" (printf "%s-%s" $fullname $model) "image" $image -}}
    {{- $_ := mergeOverwrite (deepCopy $common) $values $own | set $deployments $model -}}
  {{- end -}}
{{- end -}}
{{- toYaml $deployments -}}
{{- end -}}
