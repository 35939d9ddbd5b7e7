{{- define "marmita.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The base name of the release's objects. Its 47 characters leave room for a suffix: a name may have 63. */}}
{{- define "marmita.fullname" -}}
{{- $name := include "marmita.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $both .Values.fullnameOverride | trunc 47 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of one model's objects, from a list: the context, and the model. A long name ends in a hash. */}}
{{- define "marmita.modelName" -}}
{{- $name := printf "%s-%s" (include "marmita.fullname" (first .)) (last .) -}}
{{- $short := printf "%s-%s" (trunc 54 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- gt (len $name) 63 | ternary $short $name -}}
{{- end -}}

{{/* The labels that select all pods of the release. With the component, they select the pods of one deployment. */}}
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

{{/* An image reference, from a list: the key in the values, and its value. */}}
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

{{/* An environment variable from a Secret, from a list: the variable's name, and the values about the Secret. */}}
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

{{/* The environment variables about records, which every pod of a model needs. */}}
{{- define "marmita.recording" -}}
{{- with .Values.records -}}
{{- if and (ne .mode "off") (not $.Values.database.existingSecret) -}}
  {{- $why := "without it each pod would write records of its own, and lose them" -}}
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

{{/* A warning for each deprecated value that is set. It is read for one release, and overrides the new one. */}}
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

{{/* The security settings of every pod: no more rights than it needs. */}}
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

{{/* The placement of pods on nodes. */}}
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

{{/* The volume of the model store, which the shepherd writes and the service reads. It is not claimed read-only, so
     that Kubernetes can create the folder of the models on an empty volume. */}}
{{- define "marmita.store" -}}
{{- with .Values.store.existingClaim -}}
- name: store
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end -}}
{{- end -}}
