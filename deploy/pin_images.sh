#!/bin/sh
# Writes the present digest of every image behind its tag, in Dockerfile and compose.yml: pin_images.sh [DIRECTORY]
# Run it with access to the registry, look at what has changed, and commit it; run it again to take a newer image.
set -eu

directory=${1:-$(cd "$(dirname "$0")" && pwd)}
names=$(sed -nE 's/^(FROM|    image:) ([a-z/-]+:[a-z0-9.-]+)(@sha256:[0-9a-f]{64})?( .*)?$/\2/p' \
    "$directory/Dockerfile" "$directory/compose.yml" | sort -u)
for image in $names; do
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
    case $digest in
        sha256:????????????????????????????????????????????????????????????????) ;;
        *) echo "pin_images: the registry names no digest for $image" >&2; exit 1 ;;
    esac
    for file in "$directory/Dockerfile" "$directory/compose.yml"; do
        sed -E "s|^(FROM\|    image:) $image(@sha256:[0-9a-f]{64})?( .*)?\$|\1 $image@$digest\3|" "$file" >"$file.new"
        cat "$file.new" >"$file"
        rm "$file.new"
    done
    echo "$image@$digest"
done
