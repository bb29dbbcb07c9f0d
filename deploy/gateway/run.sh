#!/usr/bin/env bash
# Runs the gateway on its machine, which fetches this script from its own metadata at every start.
set -euo pipefail

metadata() {
    curl --silent --show-error --fail --header 'Metadata-Flavor: Google' \
        "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}

image=$(metadata gateway-image)
bucket=$(metadata gateway-bucket)
metadata gateway-settings >"$RUNTIME_DIRECTORY/settings" # which systemd has made
given=$(metadata gateway-options)
read -r -a options <<<"$given"
secrets=secret:projects/$(metadata gateway-project)/secrets

docker-credential-gcr configure-docker --registries="${image%%/*}"
# An image that is here already will do while the registry cannot be reached.
docker pull "$image" || docker image inspect "$image" >/dev/null
docker rm --force gateway 2>/dev/null || true
docker image prune --all --force --filter until=720h >/dev/null || true

# What uploads under way take up of the disk; they are nameless, so that nothing is left of them.
mkdir -p /var/spool/gateway
chown 1000:1000 /var/spool/gateway

exec docker run --name gateway --rm --publish 22:2222 \
    --read-only --tmpfs /tmp:rw,noexec,nosuid,size=16m --volume /var/spool/gateway:/spool \
    --cap-drop ALL --security-opt no-new-privileges --pids-limit 512 --memory 1500m \
    --stop-timeout 75 --log-opt max-size=50m --log-opt max-file=3 \
    --env-file "$RUNTIME_DIRECTORY/settings" \
    "$image" \
    --port 2222 --bucket "$bucket" --users "$secrets/gateway-users" \
    --host-key "$secrets/gateway-host-key" --spool /spool --drain 60 --long-drain 600 \
    ${options[@]+"${options[@]}"}
