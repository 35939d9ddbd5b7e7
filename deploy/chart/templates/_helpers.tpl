{{- define "marmita.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what belongs to the release. It leaves room for what comes behind it: together they have 63 characters. */}}
{{- define "marmita.fullname" -}}
{{- $name := include "marmita.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $both .Values.fullnameOverride | trunc 47 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what belongs to one model, from a list: the context, and the model. A long one ends in a hash. */}}
{{- define "marmita.modelName" -}}
{{- $name := printf "%s-%s" (include "marmita.fullname" (first .)) (last .) -}}
{{- $short := printf "%s-%s" (trunc 54 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- gt (len $name) 63 | ternary $short $name -}}
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
    {{- $own := dict "name" (include "marmita.modelName" (list $ $model)) "image" $image -}}
    {{- $said := pick $values "resources" "replicas" "autoscaling" -}}
    {{- $_ := mergeOverwrite (deepCopy $common) (deepCopy $.Values.separate) $said $own | set $deployments $model -}}
  {{- end -}}
{{- end -}}
{{- toYaml $deployments -}}
{{- end -}}

{{/* A variable from a secret of the user's, from a list: its name, and what the values say of the secret. */}}
{{- define "marmita.secret" -}}
{{- $secret := last . -}}
{{- if $secret.existingSecret -}}
- name: {{ first . }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.existingSecret }}
      key: {{ $secret.key }}
{{ end -}}
{{- end -}}

{{/* What every pod is told about records: each has models that make some. */}}
{{- define "marmita.recording" -}}
{{- with .Values.records -}}
{{- if and (ne .mode "off") (not $.Values.database.existingSecret) -}}
  {{- $why := "without it each pod would keep its own, and lose it" -}}
  {{- fail (printf "records.mode: %s needs database.existingSecret: %s" .mode $why) -}}
{{- end -}}
{{- include "marmita.secret" (list "MARMITA_DATABASE_URL" $.Values.database) -}}
- name: MARMITA_RECORD
  value: {{ .mode | quote }}
- name: MARMITA_RECORD_SAMPLE_RATE
  value: {{ .share | default .sampleRate | quote }}
- name: MARMITA_RECORD_RETENTION
  value: {{ ternary (printf "%dd" (int64 .days)) .retention (hasKey . "days") | quote }}
- name: MARMITA_RECORD_BUFFER_MB
  value: {{ .bufferMb | quote }}
- name: MARMITA_QUALITY_INTERVAL
  {{- with $.Values.quality }}
  value: {{ ternary (printf "%ds" (int64 .everySeconds)) .interval (hasKey . "everySeconds") | quote }}
  {{- end }}
- name: MARMITA_QUALITY_WINDOW
  value: {{ $.Values.quality.window | quote }}
{{ include "marmita.secret" (list "MARMITA_API_KEYS" $.Values.apiKeys) -}}
{{- end -}}
{{- end -}}

{{/* The deprecated values that are set. They are read for one release, over the new ones. */}}
{{- define "marmita.deprecated" -}}
{{- $renamed := dict "records.share" "sampleRate" "records.days" "retention" "quality.everySeconds" "interval" -}}
{{- $renamed = merge $renamed (dict "shepherd.every" "interval" "shepherd.retrain.pause" "backoff") -}}
{{- range $old, $new := $renamed -}}
{{- $value := $.Values -}}
{{- range splitList "." $old -}}{{- $value = get $value . -}}{{- end -}}
{{- if $value }}
WARNING: {{ $old }} is deprecated: use {{ $new }} in its place.
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What every pod may do: nothing but its work. */}}
{{- define "marmita.pod" -}}
serviceAccountName: {{ include "marmita.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false  # a Service named bentoml would set BENTOML_PORT
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1034  # the user `bentoml` of the image
  runAsGroup: 1034
  fsGroup: 1034
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "marmita.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Where pods may run. */}}
{{- define "marmita.placement" -}}
{{- with pick .Values "nodeSelector" "tolerations" "affinity" -}}
{{- range $key, $value := . -}}
{{- with $value }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The volume that the shepherd writes its models to, and the service reads them from. It is not claimed read-only: of
     an empty one, Kubernetes has to make the folder of the models. */}}
{{- define "marmita.store" -}}
{{- with .Values.store.existingClaim -}}
- name: store
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end -}}
{{- end -}}
