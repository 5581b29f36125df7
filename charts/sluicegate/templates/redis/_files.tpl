{{/* The configuration of the embedded Redis, and the script that starts it. */}}
{{- define "sluicegate.redisFiles" -}}
valkey.conf: |
  bind * -::*
  port 6379
  # Nobody gets in without a user and a password, from wherever.
  protected-mode no
  dir /data
  aclfile /data/users.acl
  # What is acknowledged is on disk.
  appendonly yes
  appendfsync always
  save ""
  # Full means that writes are refused and sidecars spool: nothing is ever evicted.
  maxmemory {{ .Values.redis.embedded.maxmemory }}
  maxmemory-policy noeviction
start.sh: |
  # The users: those of the release, by the passwords in its Secret, and those of the namespaces, which the operator
  # made and saved here.
  set -eu
  umask 077
  digest() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
  cd /data
  touch users.acl
  {
      echo "user default off"
      echo "user probe on nopass -@all +ping"
      echo "user operator on #$(digest "$OPERATOR_PASSWORD") ~sg1:* &sg1:* +@all -@admin -@dangerous +acl +info"
      echo "user judge on #$(digest "$JUDGE_PASSWORD") ~sg1:* &sg1:* +@all -@admin -@dangerous"
      grep '^user sg-' users.acl || true
  } > users.acl.new
  mv users.acl.new users.acl
  exec valkey-server /etc/valkey/valkey.conf
{{- end }}
