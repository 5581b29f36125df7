{{/* (context, component): the metadata of a pod. None is given a sidecar: the injector would wait for itself. */}}
{{- define "sluicegate.podMetadata" -}}
{{- $context := index . 0 -}}
labels:
  {{- include "sluicegate.labels" . | nindent 2 }}
  sluicegate.dev/inject: "false"
  {{- with $context.Values.pods.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $context.Values.pods.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every pod's spec has. */}}
{{- define "sluicegate.podSpec" -}}
# What a Service of ours would put into the environment looks like settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.pods.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.pods.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .Values.pods.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* What every container has. */}}
{{- define "sluicegate.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The probes of a container with an admin listener. Start-up may take two minutes: others may be away. */}}
{{- define "sluicegate.probes" -}}
startupProbe:
  httpGet: {path: /startupz, port: admin}
  periodSeconds: 1
  failureThreshold: 120
readinessProbe:
  httpGet: {path: /startupz, port: admin}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* (context, user): the environment with which a user of the release's own reaches the embedded Redis. */}}
{{- define "sluicegate.embeddedRedisEnv" -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ include "sluicegate.redisSecret" (index . 0) }}, key: {{ index . 1 }}}
- name: SLUICEGATE_REDIS_URL
  value: redis://{{ index . 1 }}:$(REDIS_PASSWORD)@{{ include "sluicegate.redisHost" (index . 0) }}/0
{{- end }}
