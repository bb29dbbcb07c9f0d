#!/usr/bin/env bash
# Deploys one part of the pipeline; cloudbuild.yaml calls it for each. Safe to run again.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: deploy/deploy.sh PART [--dry-run]

  PART       queue, bucket, function NAME, schedule, metrics or monitoring;
             or variables, which deploys nothing: it prints what the functions are told, for a shell
  --dry-run  show what would be run where there is nothing yet; needs no account, changes nothing

The environment says where: PROJECT, and REGION, BUCKET, QUEUE, SWEEP_SCHEDULE, OPERATORS,
ALERT_WEBHOOK_SECRET where they are not the defaults of cloudbuild.yaml.
TEXT
}

PARTS=()
for word in "$@"; do
    case $word in
        --help) usage && exit ;;
        --dry-run) DRY_RUN=yes ;;
        *) PARTS+=("$word") ;;
    esac
done
name_everything
MADE=$(mktemp -d)
trap 'rm -rf "$MADE"' EXIT

# The ledger counts the attempts and ends them, so the queue never gives a task up.
queue() {
    local there word=create
    there=$(ask tasks queues list "--location=$REGION" "--project=$PROJECT" \
        '--format=value(name.basename())')
    if among "$QUEUE" "$there"; then word=update; fi
    run gcloud tasks queues "$word" "$QUEUE" "--location=$REGION" "--project=$PROJECT" \
        --max-dispatches-per-second=10 --max-concurrent-dispatches=20 \
        --max-attempts=-1 --min-backoff=10s --max-backoff=300s --max-doublings=5
}

# What is kept how long in the bucket. Only these two folders: state/ is the pipeline's memory, and
# what lies elsewhere has not been dealt with.
bucket() {
    if [[ $(setting CLEANUP) == off ]]; then
        run gcloud storage buckets update "gs://$BUCKET" "--project=$PROJECT" --clear-lifecycle
        return
    fi
    local processed reports
    processed=$(days PROCESSED_RETENTION)
    reports=$(days REPORTS_RETENTION)
    cat >"$MADE/lifecycle.json" <<JSON
{"rule": [
  {"action": {"type": "Delete"}, "condition": {"age": $processed, "matchesPrefix": ["processed/"]}},
  {"action": {"type": "Delete"}, "condition": {"age": $reports, "matchesPrefix": ["rejected/"]}}
]}
JSON
    run gcloud storage buckets update "gs://$BUCKET" "--project=$PROJECT" \
        "--lifecycle-file=$MADE/lifecycle.json"
}

# A length of time in whole days, rounded up.
days() {
    local text count seconds
    text=$(setting "$1")
    [[ $text =~ ^([0-9]+)([smhd]?)$ ]] || fail "settings.env: $1 is not a length of time: $text"
    count=${BASH_REMATCH[1]}
    case ${BASH_REMATCH[2]} in
        d) seconds=86400 ;;
        h) seconds=3600 ;;
        m) seconds=60 ;;
        *) seconds=1 ;;
    esac
    printf %s $(((count * seconds + 86399) / 86400))
}

# Why these sizes: docs/operations.md.
deploy_function() {
    local name=$1 ingress=internal-only kind size
    case $name in
        classify)
            size=(--memory=256Mi --cpu=1 --timeout=120s --concurrency=1 --max-instances=20)
            kind=("--trigger-event-filters=type=google.cloud.storage.object.v1.finalized"
                "--trigger-event-filters=bucket=$BUCKET" "--trigger-location=$REGION"
                "--trigger-service-account=$(account trigger)" --retry)
            ;;
        load)
            size=(--memory=1Gi --cpu=1 --timeout=1800s --concurrency=1 --max-instances=20)
            kind=(--trigger-http --no-allow-unauthenticated)
            ;;
        sweep)
            size=(--memory=512Mi --cpu=1 --timeout=540s --concurrency=1 --max-instances=2)
            kind=(--trigger-http --no-allow-unauthenticated)
            ;;
        status)
            size=(--memory=256Mi --cpu=1 --timeout=60s --concurrency=8 --max-instances=2)
            ingress=all # people come from outside; IAM lets in whom it is to
            kind=(--trigger-http --no-allow-unauthenticated)
            ;;
        *) fail "There is no function $name." ;;
    esac
    if [[ -n ${ALERT_WEBHOOK_SECRET:-} && $name =~ ^(load|sweep)$ ]]; then
        kind+=("--set-secrets=ALERT_WEBHOOK=$ALERT_WEBHOOK_SECRET:latest")
    else
        kind+=(--clear-secrets)
    fi
    find_number
    variables_file >"$MADE/variables.yaml"
    patiently 3 gcloud functions deploy "$name" --gen2 "--project=$PROJECT" "--region=$REGION" \
        --runtime=python311 --source=. "--entry-point=$name" "${kind[@]}" "${size[@]}" \
        "--ingress-settings=$ingress" "--service-account=$(account "$name")" \
        "--build-service-account=projects/$PROJECT/serviceAccounts/$(account build)" \
        "--set-build-env-vars=GOOGLE_FUNCTION_SOURCE=functions/$name.py" \
        "--env-vars-file=$MADE/variables.yaml" --serve-all-traffic-latest-revision --quiet
    give_invokers "$name"
}

# The settings that are set, for a shell.
variables() {
    local name value
    find_number
    while IFS='=' read -r name value; do
        printf 'export %s=%q\n' "$name" "$(place "$value")"
    done < <(sed -e '/^#/d' -e '/^$/d' "$HERE/settings.env")
}

# The same, as gcloud reads them.
variables_file() {
    local name value
    printf 'PYTHONPATH: "/workspace"\n'
    while IFS='=' read -r name value; do
        printf '%s: "%s"\n' "$name" "$(place "$value" | sed 's/[\\"]/\\&/g')"
    done < <(sed -e '/^#/d' -e '/^$/d' "$HERE/settings.env")
}

give_invokers() {
    local who role on why member
    while IFS='|' read -r who role on why; do
        [[ $on == "function/$1" ]] || continue
        member=$(member "$who")
        [[ -n $member ]] || continue
        run gcloud run services add-iam-policy-binding "$1" "--project=$PROJECT" \
            "--region=$REGION" "--member=$member" "--role=$role" --condition=None --format=none ||
            fail "No: $why"
    done < <(roles)
}

schedule() {
    local there word=create
    find_number
    there=$(ask scheduler jobs list "--location=$REGION" "--project=$PROJECT" \
        '--format=value(name.basename())')
    if among sweep "$there"; then word=update; fi
    run gcloud scheduler jobs "$word" http sweep "--location=$REGION" "--project=$PROJECT" \
        "--schedule=${SWEEP_SCHEDULE:-*/10 * * * *}" "--time-zone=Etc/UTC" \
        "--uri=$(address_of sweep)" --http-method=POST \
        "--oidc-service-account-email=$(account scheduler)" \
        "--oidc-token-audience=$(address_of sweep)" \
        --attempt-deadline=540s --max-retry-attempts=2 --min-backoff=30s
}

metrics() {
    local there file name word
    there=$(ask logging metrics list "--project=$PROJECT" '--format=value(name)')
    for file in "$HERE"/monitoring/metrics/*.json; do
        name=$(basename "$file" .json) word=create
        if among "$name" "$there"; then word=update; fi
        run gcloud logging metrics "$word" "$name" "--project=$PROJECT" "--config-from-file=$file"
    done
}

# Alert policies are known by their file's name, which each carries as the label `policy`.
monitoring() {
    local there channels known file name
    need_components alpha beta
    channels=$(ask beta monitoring channels list "--project=$PROJECT" \
        '--filter=displayName="Imports"' '--format=value(name)')
    there=$(ask alpha monitoring policies list "--project=$PROJECT" \
        '--format=value(userLabels.policy,name)')
    for file in "$HERE"/monitoring/policies/*.json; do
        name=$(basename "$file" .json)
        known=$(awk -v name="$name" '$1 == name { print $2 }' <<<"$there")
        if [[ -n $known ]]; then
            patiently 10 gcloud alpha monitoring policies update "$known" "--project=$PROJECT" \
                "--policy-from-file=$file" \
                ${channels:+"--set-notification-channels=${channels//$'\n'/,}"}
        else
            patiently 10 gcloud alpha monitoring policies create "--project=$PROJECT" \
                "--policy-from-file=$file" \
                ${channels:+"--notification-channels=${channels//$'\n'/,}"}
        fi
    done
    dashboard
}

# The dashboard is known by its title; a change must name the version it changes.
dashboard() {
    local known file=$HERE/monitoring/dashboard.json
    known=$(ask monitoring dashboards list "--project=$PROJECT" \
        '--filter=displayName="Apparel21 imports"' --limit=1 '--format=value(name,etag)')
    if [[ -n $known ]]; then
        sed "1s/{/{\"etag\": \"${known#*$'\t'}\",/" "$file" >"$MADE/dashboard.json"
        run gcloud monitoring dashboards update "${known%%$'\t'*}" "--project=$PROJECT" \
            "--config-from-file=$MADE/dashboard.json"
    else
        run gcloud monitoring dashboards create "--project=$PROJECT" "--config-from-file=$file"
    fi
}

cd "$HERE/.."
need_gcloud
case ${PARTS[*]:-} in
    queue | bucket | schedule | metrics | monitoring | variables) "${PARTS[0]}" ;;
    'function '*) deploy_function "${PARTS[1]}" ;;
    *) usage >&2 && exit 2 ;;
esac
