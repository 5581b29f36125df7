{{/* The name of the release's objects. At most 40 characters, so that what is put behind it fits a Service's 63. */}}
{{- define "sluicegate.fullname" -}}
{{- $both := printf "%s-%s" .Release.Name .Chart.Name -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name $both -}}
{{- .Values.fullnameOverride | default $name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* (context, part): the name of something cluster-wide. A namespace has no dot: two installs cannot meet. */}}
{{- define "sluicegate.clusterwide" -}}
{{- $context := index . 0 -}}
{{- printf "%s-%s.%s" (include "sluicegate.fullname" $context) (index . 1) $context.Release.Namespace -}}
{{- end }}

{{/* (context, component): the labels of an object. */}}
{{- define "sluicegate.labels" -}}
{{- $context := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ $context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $context.Release.Service }}
{{ include "sluicegate.selector" . }}
{{- end }}

{{/* (context, component): the labels by which its pods are found; they can never change. */}}
{{- define "sluicegate.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* (context, part): the image of the operator or the sidecar. */}}
{{- define "sluicegate.image" -}}
{{- $image := index (index . 0).Values.image (index . 1) -}}
{{- printf "%s:%s" $image.repository ($image.tag | default (index . 0).Chart.AppVersion) -}}
{{- end }}

{{/* The namespaces that are served, as the terms of a label selector. */}}
{{- define "sluicegate.scope" -}}
- key: kubernetes.io/metadata.name
{{- if .Values.watchNamespaces }}
  operator: In
  values: {{ toJson .Values.watchNamespaces }}
{{- else }}
  operator: NotIn
  values: ["kube-system", "kube-node-lease"]
{{- end }}
{{- end }}

{{/* The Secret with the passwords of the embedded Redis; agents' pods mount another, called `sluicegate-redis`. */}}
{{- define "sluicegate.redisSecret" -}}
{{- .Values.redis.embedded.existingSecret | default (printf "%s-redis-users" (include "sluicegate.fullname" .)) -}}
{{- end }}

{{/* The Secret with the injector's certificate. */}}
{{- define "sluicegate.certificateSecret" -}}
{{- $own := printf "%s-injector" (include "sluicegate.fullname" .) -}}
{{- eq .Values.injector.certificates.mode "provided" | ternary .Values.injector.certificates.secret $own -}}
{{- end }}

{{/* Host and port of the embedded Redis, as any namespace reaches it. */}}
{{- define "sluicegate.redisHost" -}}
{{- printf "%s-redis.%s.svc:6379" (include "sluicegate.fullname" .) .Release.Namespace -}}
{{- end }}

{{/* The URL of Redis without credentials, as sidecars get it. */}}
{{- define "sluicegate.redisUrl" -}}
{{- if eq .Values.redis.mode "embedded" -}}
redis://{{ include "sluicegate.redisHost" . }}/0
{{- else -}}
{{ .Values.redis.external.url }}
{{- end -}}
{{- end }}
