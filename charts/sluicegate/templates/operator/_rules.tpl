{{/* What the operator may do in the namespaces that it serves. It writes status, never a spec. */}}
{{- define "sluicegate.operatorRules" -}}
rules:
  - apiGroups: [sluicegate.dev]
    resources: [experiments, evaluationpolicies]
    verbs: [get, list, watch]
  - apiGroups: [sluicegate.dev]
    resources: [experiments/status, evaluationpolicies/status]
    verbs: [patch]
  # Those that an experiment names. To list them would be to read them all.
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get]
  - apiGroups: [""]
    resources: [events]
    verbs: [create]
  {{- if eq .Values.redis.access "managed" }}
  # Reading is limited to a name. Creation cannot be.
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [sluicegate-redis]
    verbs: [get]
  {{- end }}
{{- end }}
