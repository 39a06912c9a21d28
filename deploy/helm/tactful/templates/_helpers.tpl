{{- define "tactful.fullname" -}}
{{- if contains "tactful" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tactful" (.Release.Name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "tactful.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/*
What each component is: the service whose code, database and Secret it has, its port, its role, its group in Kafka, and
the probe of its readiness. Those that are called stay in their Service while a dependency is lost: /readyz fails in all
pods at once while Kafka is away, and opt-outs must be taken all the same. The others are called by nobody.
*/}}
{{- define "tactful.catalogue" -}}
api: {service: orchestrator, port: 8000, role: api, ready: /startupz}
decide: {service: orchestrator, port: 8000, role: decide, ready: /readyz, group: tactful-orchestrator}
dispatch: {service: orchestrator, port: 8000, role: dispatch, ready: /readyz}
schedule: {service: orchestrator, port: 8000, role: schedule, ready: /readyz}
preference: {service: preference, port: 8001, group: tactful-preference, ready: /startupz}
suppression: {service: suppression, port: 8002, group: tactful-suppression, ready: /startupz}
{{- end -}}

{{- define "tactful.selector" -}}
app.kubernetes.io/name: tactful
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "tactful.labels" -}}
{{ include "tactful.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "tactful.scheme" -}}
{{- if .Values.tls.secret -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{/* A process may not run as root, change its image, gain a right or make an unusual system call. */}}
{{- define "tactful.podSecurity" -}}
automountServiceAccountToken: false
# Kubernetes would else add a variable TACTFUL_..._SERVICE_HOST for each Service, which a process refuses as misspelt.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "tactful.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where a process reads its secrets. */}}
{{- define "tactful.secretSetting" -}}
{{- if eq .Values.secrets.form "file" -}}
- {name: TACTFUL_CONFIG, value: /etc/tactful/secrets/tactful.toml}
{{- else -}}
- {name: TACTFUL_SECRETS_DIR, value: /etc/tactful/secrets}
{{- end -}}
{{- end -}}

{{/* The variables of a process. What a component sets wins over what all are given, and that over the chart's own. */}}
{{- define "tactful.environment" -}}
{{- $root := .root -}}
{{- $name := include "tactful.fullname" $root -}}
{{- $scheme := include "tactful.scheme" $root -}}
{{- $own := dict
      "TACTFUL_KAFKA__BOOTSTRAP" $root.Values.kafka.bootstrap
      "TACTFUL_KAFKA__EVENTS_TOPIC" $root.Values.kafka.eventsTopic
      "TACTFUL_WEB__HOST" "0.0.0.0"
      "TACTFUL_WEB__PUBLIC_URL" $root.Values.publicUrl
      "TACTFUL_SERVICES__ORCHESTRATOR_URL" (printf "%s://%s-api:8000" $scheme $name)
      "TACTFUL_SERVICES__PREFERENCE_URL" (printf "%s://%s-preference:8001" $scheme $name)
      "TACTFUL_SERVICES__SUPPRESSION_URL" (printf "%s://%s-suppression:8002" $scheme $name) -}}
{{- if $root.Values.tls.secret -}}
{{- $_ := set $own "TACTFUL_WEB__CERTIFICATE_FILE" "/etc/tactful/tls/tls.crt" -}}
{{- $_ := set $own "TACTFUL_WEB__KEY_FILE" "/etc/tactful/tls/tls.key" -}}
{{- $_ := set $own "TACTFUL_SERVICES__CA_FILE" "/etc/tactful/tls/ca.crt" -}}
{{- end -}}
{{- $all := dict -}}
{{- range $layer := list $own $root.Values.settings .settings -}}
{{- range $variable, $value := $layer -}}
{{- $_ := set $all $variable $value -}}
{{- end -}}
{{- end -}}
{{ include "tactful.secretSetting" $root }}
{{- range $variable := keys $all | sortAlpha }}
- {name: {{ $variable }}, value: {{ get $all $variable | quote }}}
{{- end }}
{{- end -}}

{{- define "tactful.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: secrets, mountPath: /etc/tactful/secrets, readOnly: true}
{{- if .Values.tls.secret }}
- {name: tls, mountPath: /etc/tactful/tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tactful.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
# A directory without subPath, so that changed secrets of adapters arrive in running processes.
- name: secrets
  secret: {secretName: {{ get .root.Values.secrets .service }}, defaultMode: 0440}
{{- with .root.Values.tls.secret }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where pods may run. */}}
{{- define "tactful.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
