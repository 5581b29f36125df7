{{/* What both webhooks have. */}}
{{- define "sluicegate.webhook" -}}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: {{ include "sluicegate.fullname" . }}-injector
    namespace: {{ .Release.Namespace }}
    path: /inject
    port: 443
rules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
failurePolicy: {{ .Values.injector.failurePolicy }}
matchPolicy: Equivalent
# Injection is idempotent, and what another webhook adds after it wants the socket too.
reinvocationPolicy: IfNeeded
sideEffects: None
timeoutSeconds: 2
{{- end }}
