#!/usr/bin/env bash
# The SFTP gateway in the cloud: made, deployed, and who may log in. Safe to run again.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

usage() {
    cat <<'TEXT'
Usage: deploy/gateway/gateway.sh COMMAND --project PROJECT [options]

  setup                 make what the gateway needs, once: address, network, secrets, host key, roles.
                        Run deploy/setup.sh before
  deploy                build the image, and start it in place of the running one
  add-retailer NAME     add a login: --connection CONNECTION (or * for all), and --key FILE with the
                        public key; without --key, it asks for a password. Takes half a minute
  remove-retailer NAME  remove a login
  show                  print address, port and host key, to send to a retailer
  teardown              remove machine, network and users; address, host key and images stay

  --project PROJECT     the project
  --environment NAME    instead: take the options from deploy/environments/NAME.env
  --region REGION       default: australia-southeast1
  --bucket BUCKET       where uploads go (default: PROJECT-uploads)
  --gateway-options "OPTIONS"  for deploy, unless the environment has them: --max-size=BYTES,
                        --max-connections=N, --idle-timeout=SECONDS, --patience=SECONDS and
                        --old-clients; see docs/gateway.md
  --allow RANGES        addresses that may connect, e.g. 203.0.113.0/24,198.51.100.7/32 (default: all)
  --dry-run             show the commands for an empty project; needs no account
TEXT
}

PROJECT='' ENVIRONMENT='' REGION=${REGION:-} ALLOW='0.0.0.0/0' CONNECTION='' KEY='' WORDS=()
GATEWAY_OPTIONS=${GATEWAY_OPTIONS:-}
while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --dry-run) DRY_RUN=yes ;;
        --project | --environment | --region | --bucket | --allow | --connection | --key | \
            --gateway-options)
            (($# > 1)) || fail "$1 needs a value."
            option "$1" "$2"
            shift
            ;;
        -*) usage >&2 && exit 2 ;;
        *) WORDS+=("$1") ;;
    esac
    shift
done
name_everything
HERE_TOO=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NAME=import-gateway
ZONE=$REGION-a
REPOSITORY=$REGION-docker.pkg.dev/$PROJECT/$NAME
USERS="gateway-users"
HOST_KEY="gateway-host-key"
PYTHON=${PYTHON:-.venv/bin/python} # with the project's packages: make .venv/.installed
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

setup() {
    local there
    run gcloud services enable artifactregistry.googleapis.com cloudbuild.googleapis.com \
        compute.googleapis.com secretmanager.googleapis.com "--project=$PROJECT"
    there=$(ask compute addresses list "--project=$PROJECT" '--format=value(name)')
    among "$NAME" "$there" ||
        run gcloud compute addresses create "$NAME" "--region=$REGION" "--project=$PROJECT"
    make_network
    there=$(ask artifacts repositories list "--location=$REGION" "--project=$PROJECT" \
        '--format=value(name.basename())')
    among "$NAME" "$there" ||
        run gcloud artifacts repositories create "$NAME" --repository-format=docker \
            "--location=$REGION" "--project=$PROJECT"
    forget_images "$NAME"
    make_secrets
    give_roles
}

# A network of its own, in which nothing can be reached but the gateway's one port.
make_network() {
    local there
    there=$(ask compute networks list "--project=$PROJECT" '--format=value(name)')
    among "$NAME" "$there" ||
        run gcloud compute networks create "$NAME" --subnet-mode=custom "--project=$PROJECT"
    there=$(ask compute networks subnets list "--project=$PROJECT" '--format=value(name)')
    among "$NAME" "$there" ||
        run gcloud compute networks subnets create "$NAME" "--network=$NAME" \
            "--region=$REGION" --range=10.10.0.0/28 --enable-private-ip-google-access \
            "--project=$PROJECT"
    there=$(ask compute firewall-rules list "--project=$PROJECT" '--format=value(name)')
    if among "$NAME" "$there"; then
        run gcloud compute firewall-rules update "$NAME" "--source-ranges=$ALLOW" \
            "--project=$PROJECT"
    else
        run gcloud compute firewall-rules create "$NAME" "--network=$NAME" --direction=INGRESS \
            --allow=tcp:22 "--source-ranges=$ALLOW" "--target-tags=$NAME" "--project=$PROJECT"
    fi
}

# The host key is made here, once, and never again: with another one every client would refuse to
# connect.
make_secrets() {
    local there secret
    there=$(ask secrets list "--project=$PROJECT" '--format=value(name.basename())')
    for secret in "$USERS" "$HOST_KEY"; do
        among "$secret" "$there" ||
            run gcloud secrets create "$secret" --replication-policy=user-managed \
                "--locations=$REGION" "--project=$PROJECT"
    done
    has_version "$USERS" || {
        printf '{"users": []}\n' >"$WORK/users.json"
        add_version "$USERS" "$WORK/users.json"
    }
    has_version "$HOST_KEY" || {
        ssh-keygen -q -t ed25519 -N '' -C gateway -f "$WORK/host_key"
        add_version "$HOST_KEY" "$WORK/host_key"
    }
}

has_version() {
    local there
    there=$(ask secrets versions list "$1" --filter=state=enabled "--project=$PROJECT" \
        '--format=value(name.basename())')
    [[ -n $there ]]
}

add_version() {
    run gcloud secrets versions add "$1" "--data-file=$2" "--project=$PROJECT"
}

give_roles() {
    local secret gateway build
    gateway="--member=serviceAccount:$(account gateway)"
    build="--member=serviceAccount:$(account build)"
    for secret in "$USERS" "$HOST_KEY"; do
        patiently 5 gcloud secrets add-iam-policy-binding "$secret" "$gateway" \
            --role=roles/secretmanager.secretAccessor --condition=None "--project=$PROJECT" \
            --format=none
    done
    patiently 5 gcloud artifacts repositories add-iam-policy-binding "$NAME" "$gateway" \
        --role=roles/artifactregistry.reader --condition=None "--location=$REGION" \
        "--project=$PROJECT" --format=none
    patiently 5 gcloud storage buckets add-iam-policy-binding "gs://$STAGING" "$build" \
        --role=roles/storage.objectViewer --condition=None "--project=$PROJECT" --format=none
}

# The machine gets the settings that the functions get, and the options of the gateway. What is said
# in cloud-init.yaml and run.sh, such as the time for draining, is no option.
write_settings() {
    local word
    for word in $GATEWAY_OPTIONS; do
        [[ $word =~ ^--((max-size|max-connections|idle-timeout|patience)=[0-9]+|old-clients)$ ]] ||
            fail "The gateway has no option $word that can be set: see --help."
    done
    find_number
    settings >"$WORK/settings"
    printf '%s\n' "$GATEWAY_OPTIONS" >"$WORK/options"
}

# A machine that runs is stopped, which lets uploads come to their end, and starts with the new image.
deploy() {
    local image there metadata files
    write_settings
    image=$REPOSITORY/gateway:$(date -u +%Y%m%dT%H%M%SZ)
    run gcloud builds submit "$HERE/.." "--config=$HERE_TOO/cloudbuild.yaml" \
        "--ignore-file=deploy/gateway/upload.gcloudignore" "--substitutions=_IMAGE=$image" \
        "--service-account=projects/$PROJECT/serviceAccounts/$(account build)" \
        "--project=$PROJECT"
    metadata=gateway-image=$image,gateway-bucket=$BUCKET,gateway-project=$PROJECT
    metadata+=,google-logging-enabled=true,block-project-ssh-keys=true,serial-port-enable=false
    metadata+=,cos-update-strategy=update_enabled # off by default; gateway-update.timer restarts it
    files=user-data=$HERE_TOO/cloud-init.yaml,gateway-run=$HERE_TOO/run.sh
    files+=,gateway-settings=$WORK/settings,gateway-options=$WORK/options
    there=$(ask compute instances list "--project=$PROJECT" '--format=value(name)')
    if among "$NAME" "$there"; then
        run gcloud compute instances add-metadata "$NAME" "--metadata=$metadata" \
            "--metadata-from-file=$files" "--zone=$ZONE" "--project=$PROJECT"
        run gcloud compute instances stop "$NAME" "--zone=$ZONE" "--project=$PROJECT"
        run gcloud compute instances start "$NAME" "--zone=$ZONE" "--project=$PROJECT"
    else
        run gcloud compute instances create "$NAME" "--metadata=$metadata" \
            "--metadata-from-file=$files" "--zone=$ZONE" "--project=$PROJECT" \
            --machine-type=e2-small --image-family=cos-stable --image-project=cos-cloud \
            --boot-disk-size=30GB --boot-disk-type=pd-balanced "--address=$NAME" \
            "--subnet=$NAME" "--tags=$NAME" "--service-account=$(account gateway)" \
            --scopes=cloud-platform --shielded-secure-boot --shielded-vtpm \
            --shielded-integrity-monitoring --maintenance-policy=MIGRATE --restart-on-failure
    fi
    watch_from_outside
}

# Google's own checks come from all over the world, so they cannot reach a port that is not open to all.
watch_from_outside() {
    local there ranges host
    ranges=$(ask compute firewall-rules describe "$NAME" "--project=$PROJECT" \
        '--format=value(sourceRanges)')
    if [[ -z $DRY_RUN && $ranges != 0.0.0.0/0 ]]; then
        echo "No uptime check: port 22 is not open to Google's."
        return
    fi
    there=$(ask monitoring uptime list-configs "--project=$PROJECT" '--format=value(displayName)')
    host=$(address)
    among "$NAME" "$there" ||
        run gcloud monitoring uptime create "$NAME" --resource-type=uptime-url \
            "--resource-labels=host=$host,project_id=$PROJECT" --protocol=tcp --port=22 \
            --period=1 "--project=$PROJECT"
}

address() {
    if [[ -n $DRY_RUN ]]; then
        printf ADDRESS
    else
        gcloud compute addresses describe "$NAME" "--region=$REGION" "--project=$PROJECT" \
            '--format=value(address)'
    fi
}

# The file of users is fetched, changed by the gateway's own tool, which refuses what could not be
# used, and put back as a new version. The gateway takes notice within half a minute.
change_users() {
    run gcloud secrets versions access latest "--secret=$USERS" "--out-file=$WORK/users.json" \
        "--project=$PROJECT"
    [[ -n $DRY_RUN ]] ||
        (cd "$HERE/.." && "$PYTHON" -m gateway "$1" --users "$WORK/users.json" "${@:2}")
    add_version "$USERS" "$WORK/users.json"
}

add_retailer() {
    local how=()
    [[ -n ${WORDS[1]:-} && -n $CONNECTION ]] || fail "Give NAME and --connection."
    [[ -z $KEY ]] || how=(--key "$(cd "$(dirname "$KEY")" && pwd)/$(basename "$KEY")")
    change_users add-user --name "${WORDS[1]}" --connection "$CONNECTION" ${how[@]+"${how[@]}"}
}

remove_retailer() {
    [[ -n ${WORDS[1]:-} ]] || fail "Give NAME."
    change_users remove-user --name "${WORDS[1]}"
}

show() {
    local host
    host=$(address)
    echo "Address: $host, port 22"
    run gcloud secrets versions access latest "--secret=$HOST_KEY" "--out-file=$WORK/host_key" \
        "--project=$PROJECT"
    [[ -n $DRY_RUN ]] || {
        chmod 600 "$WORK/host_key"
        ssh-keygen -y -f "$WORK/host_key"
        ssh-keygen -l -f "$WORK/host_key"
    }
}

teardown() {
    local there
    there=$(ask monitoring uptime list-configs "--project=$PROJECT" \
        "--filter=displayName=\"$NAME\"" '--format=value(name)')
    there=${there:-${DRY_RUN:+UPTIME_CHECK}}
    [[ -z $there ]] || run gcloud monitoring uptime delete "$there" "--project=$PROJECT" --quiet
    remove compute instances "--zone=$ZONE"
    remove compute firewall-rules
    remove compute networks subnets "--region=$REGION"
    remove compute networks
    there=$(ask secrets list "--project=$PROJECT" '--format=value(name.basename())')
    if [[ -n $DRY_RUN ]] || among "$USERS" "$there"; then
        run gcloud secrets delete "$USERS" "--project=$PROJECT" --quiet
    fi
}

# Deletes what has the gateway's name, if it is there: the words of its kind, then options.
remove() {
    local kind=() there
    while (($#)) && [[ $1 != --* ]]; do
        kind+=("$1")
        shift
    done
    there=$(ask "${kind[@]}" list "--project=$PROJECT" '--format=value(name)')
    if [[ -n $DRY_RUN ]] || among "$NAME" "$there"; then
        run gcloud "${kind[@]}" delete "$NAME" "$@" "--project=$PROJECT" --quiet
    fi
}

need_gcloud
case ${WORDS[0]:-} in
    setup | deploy | show | teardown) "${WORDS[0]}" ;;
    add-retailer) add_retailer ;;
    remove-retailer) remove_retailer ;;
    *) usage >&2 && exit 2 ;;
esac
