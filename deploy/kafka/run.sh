#!/bin/sh
# Runs one Kafka broker in the foreground: run.sh DATA_DIRECTORY [PORT] [CONTROLLER_PORT]; run.sh --fetch-only
# Fetches the jars into .tools/kafka/libs on first use (Maven, Java 17). Data persists in DATA_DIRECTORY.
# The lines of DATA_DIRECTORY/more.properties, if there is one, override those of server.properties; KAFKA_FORMAT holds
# further arguments of the storage tool, such as --add-scram.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
libs=${KAFKA_LIBS:-$here/../../.tools/kafka/libs}
mkdir -p "$libs"

if ! ls "$libs"/kafka_*.jar >/dev/null 2>&1; then
    mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs"
fi
if [ "$1" = "--fetch-only" ]; then exit 0; fi

mkdir -p "$1"
directory=$(cd "$1" && pwd)
port=${2:-9092}
controller_port=${3:-$((port + 1))}

sed -e "s|@PORT@|$port|g" -e "s|@CONTROLLER_PORT@|$controller_port|g" -e "s|@DIRECTORY@|$directory|g" \
    "$here/server.properties" >"$directory/server.properties"
if [ -f "$directory/more.properties" ]; then cat "$directory/more.properties" >>"$directory/server.properties"; fi

export JAVA_TOOL_OPTIONS="${JAVA_TOOL_OPTIONS:--Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}"
if [ ! -f "$directory/log/meta.properties" ]; then
    # shellcheck disable=SC2086 - several arguments
    java -cp "$libs/*" kafka.tools.StorageTool format --ignore-formatted -t MkU3OEVBNTcwNTJENDM2Qk \
        -c "$directory/server.properties" ${KAFKA_FORMAT:-}
fi
exec java -cp "$libs/*" kafka.Kafka "$directory/server.properties"
