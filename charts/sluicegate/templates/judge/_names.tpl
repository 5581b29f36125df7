{{/* The component of an agent's judges. A digest, since namespace and agent together may be longer than a name. */}}
{{- define "sluicegate.judge" -}}
{{- printf "judge-%s" (printf "%s/%s" .namespace .agent | sha256sum | trunc 8) -}}
{{- end }}
