#!/bin/sh
# Runs one PostgreSQL in the foreground: run.sh DATA_DIRECTORY SECRETS_DIRECTORY [PORT]
# The first run makes it, with a role and a database for each service: databases.sh, with the passwords of
# SECRETS_DIRECTORY (deploy/secrets.sh). It listens on loopback alone. Root runs it as the user postgres.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
directory=$1
secrets=$(cd "$2" && pwd)
port=${3:-5432}

programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
PATH=$programs:$PATH
command -v initdb >/dev/null || { echo "postgres: PostgreSQL is not installed (Debian package postgresql)" >&2; exit 1; }

owner=$(id -un)
as_owner() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
    owner=postgres
    as_owner() { runuser -u postgres -- env PATH="$PATH" "$@"; }
fi
settings="-c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories="

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
chown "$owner" "$directory"
cd "$directory"
if [ ! -e "$directory/ready" ]; then
    rm -rf "$directory/data"
    (umask 077 && cp "$secrets/postgres-password" "$directory/password")
    chown "$owner" "$directory/password"
    as_owner initdb --pgdata "$directory/data" --username tactful --auth-local peer --auth-host scram-sha-256 \
        --encoding UTF8 --no-locale --no-instructions --pwfile "$directory/password" >"$directory/initdb.log"
    as_owner pg_ctl --pgdata "$directory/data" --log "$directory/first.log" --options "$settings" --wait --silent start
    PGHOST=127.0.0.1 PGPORT=$port PGPASSWORD=$(cat "$directory/password") POSTGRES_USER=tactful \
        SECRETS=$secrets/database-roles.env "$here/databases.sh"
    as_owner pg_ctl --pgdata "$directory/data" --wait --silent stop
    rm "$directory/password"
    touch "$directory/ready"
fi
# shellcheck disable=SC2086 - several arguments
if [ "$(id -u)" -eq 0 ]; then exec runuser -u postgres -- "$programs/postgres" -D "$directory/data" $settings; fi
exec postgres -D "$directory/data" $settings
