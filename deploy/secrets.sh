#!/bin/sh
# Makes the secrets of an installation: secrets.sh [DIRECTORY] [DATABASE_HOST], deploy/secrets and postgres by default,
# as compose.yml expects them. What is there stays as it is.
#
# A file for each service, which it alone gets: the URL of its database with its own role, and its keys. Two for the
# database server: the passwords of its owner and of the roles. The directory is closed to everybody else; the files
# are not, because compose mounts them as they are, and a service runs as user 10001. The password of Grafana's user
# `admin` is a file of its own.
set -eu

directory=${1:-$(cd "$(dirname "$0")" && pwd)/secrets}
host=${2:-postgres}
mkdir -p "$directory"
chmod 700 "$directory"
umask 022

random() { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; }

# Before the rest: an installation that was made before there were dashboards has no password of Grafana yet.
[ -e "$directory/grafana-password" ] || random >"$directory/grafana-password"

roles=$directory/database-roles.env
if [ -e "$roles" ]; then
    echo "secrets: $directory has its secrets already; they stay as they are" >&2
    exit 0
fi
admin=$(random)
service=$(random)
address=$(random)
random >"$directory/postgres-password"
: >"$roles.new"
for name in orchestrator preference suppression; do
    password=$(random)
    printf '%s_PASSWORD=%s\n' "$(echo "$name" | tr '[:lower:]' '[:upper:]')" "$password" >>"$roles.new"
    cat >"$directory/$name.toml" <<TOML
# Of the service $name alone: TACTFUL_CONFIG names this file.
admin_key = "$admin"
service_key = "$service"
address_key = "$address"

[database]
url = "postgresql+asyncpg://$name:$password@$host/$name"
TOML
done
mv "$roles.new" "$roles"
