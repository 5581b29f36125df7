{{/* Who may read metrics: those of the values and `helm test`, or everybody. */}}
{{- define "sluicegate.metricsFrom" -}}
{{- with .Values.networkPolicy.metricsFrom -}}
from:
  {{- toYaml . | nindent 2 }}
  - podSelector:
      matchLabels:
        {{- include "sluicegate.selector" (list $ "test") | nindent 8 }}
{{- end }}
{{- end }}
