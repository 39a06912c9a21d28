#!/bin/sh
# Runs once, on an empty data directory: for each service a role, and a database that is its own and nobody else's.
# SECRETS holds lines such as ORCHESTRATOR_PASSWORD=...: see deploy/secrets.sh.
set -eu
. "${SECRETS:-/run/secrets/database-roles.env}"

create() {
    psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 --quiet \
        --set name="$1" --set password="$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

create orchestrator "$ORCHESTRATOR_PASSWORD"
create preference "$PREFERENCE_PASSWORD"
create suppression "$SUPPRESSION_PASSWORD"
