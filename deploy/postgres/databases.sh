#!/bin/sh
# Runs once, on an empty data directory: a database for each service.
set -eu
for service in orchestrator preference suppression; do
    createdb --username "$POSTGRES_USER" --encoding UTF8 "$service"
done
