#!/usr/bin/env bash
# Deploys one part of the pipeline; cloudbuild.yaml calls it for each. Safe to run again.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: deploy/deploy.sh PART [options]

  PART       firestore, queue, bucket, function NAME, schedule, metrics or monitoring;
             release: send all calls to the functions deployed last, and back if the smoke test fails;
             smoke: the smoke test alone; rollback: send all calls to the version before;
             variables: print the functions' settings for a shell, deploy nothing
  --environment NAME  take project and settings from deploy/environments/NAME.env
  --dry-run  show the commands for an empty project; needs no account, changes nothing

Without --environment, set ENVIRONMENT in the shell; or PROJECT, and where they differ from the defaults
REGION, BUCKET, QUEUE, SWEEP_SCHEDULE, OPERATORS, ALERT_WEBHOOK_SECRET, MAIL_URL_SECRET.
VERSION is the label of the functions: letters, digits, - and _.
TEXT
}

PARTS=()
while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --dry-run) DRY_RUN=yes ;;
        --environment)
            (($# > 1)) || fail "$1 needs a value."
            PROJECT='' # that is the environment's, whatever the shell says
            option "$1" "$2"
            shift
            ;;
        *) PARTS+=("$1") ;;
    esac
    shift
done
name_everything
FUNCTIONS=(load sweep status classify) # who works for others comes first
SMOKE=smoke-test                       # the connection of the smoke test
VERSION=$(tr '[:upper:].' '[:lower:]-' <<<"${VERSION:-${COMMIT:-${BUILD:-}}}")

# The Python that the functions run on: _PYTHON of cloudbuild.yaml, which the tests ran on, too.
DEPLOY_PYTHON=${DEPLOY_PYTHON:-3.11}
case $DEPLOY_PYTHON in
    3.11 | 3.12 | 3.13) RUNTIME=python${DEPLOY_PYTHON/./} ;;
    *) fail "The functions run on Python 3.11, 3.12 or 3.13, not $DEPLOY_PYTHON." ;;
esac
MADE=$(mktemp -d)
trap 'rm -rf "$MADE"' EXIT

# The rules, indexes and TTL policies of the database. gcloud has no command for rules, and its one
# for indexes fails where the index is there already; the Firebase CLI makes all of it what the files
# say. It takes (default), unless its configuration names another database.
firestore() {
    local config=firebase.json
    if [[ $DATABASE != '(default)' ]]; then
        config=firebase.$DATABASE.json # beside firebase.json, because it names files beside itself
        [[ -n $DRY_RUN ]] || {
            trap 'rm -rf "$MADE" "$HERE/../firebase.$DATABASE.json"' EXIT
            sed "s/\"firestore\": {/&\"database\": \"$DATABASE\",/" firebase.json >"$config"
        }
    fi
    run npx --yes firebase-tools@15.34.2 deploy --only firestore "--config=$config" \
        "--project=$PROJECT" --non-interactive
}

# The ledger counts the attempts and ends them, so the queue never gives a task up.
queue() {
    local there word=create
    there=$(ask tasks queues list "--location=$REGION" "--project=$PROJECT" \
        '--format=value(name.basename())')
    if among "$QUEUE" "$there"; then word=update; fi
    run gcloud tasks queues "$word" "$QUEUE" "--location=$REGION" "--project=$PROJECT" \
        --max-dispatches-per-second=10 --max-concurrent-dispatches=10 \
        --max-attempts=-1 --min-backoff=10s --max-backoff=300s --max-doublings=5
}

# What is kept how long in the bucket. Only these folders: state/ is the pipeline's memory, and
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
  {"action": {"type": "Delete"}, "condition": {"age": $reports, "matchesPrefix": ["rejected/", "reports/"]}},
  {"action": {"type": "Delete"}, "condition": {"age": 7, "matchesPrefix": ["refusals/"]}}
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
    local name=$1 ingress=internal-only kind size secrets=()
    case $name in
        classify)
            size=(--memory=256Mi --cpu=1 --timeout=120s --concurrency=1 --max-instances=4)
            kind=("--trigger-event-filters=type=google.cloud.storage.object.v1.finalized"
                "--trigger-event-filters=bucket=$BUCKET" "--trigger-location=$REGION"
                "--trigger-service-account=$(account trigger)" --retry)
            ;;
        load)
            size=(--memory=1Gi --cpu=1 --timeout=1800s --concurrency=1 --max-instances=10)
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
        secrets+=("ALERT_WEBHOOK=$ALERT_WEBHOOK_SECRET:latest")
    fi
    if [[ -n ${MAIL_URL_SECRET:-} && $name =~ ^(classify|load|sweep)$ ]]; then
        [[ -n $(setting MAIL_FROM) ]] ||
            fail "settings.env: MAIL_FROM is missing. Mails need a sender where there is a MAIL_URL."
        secrets+=("MAIL_URL=$MAIL_URL_SECRET:latest")
    fi
    if ((${#secrets[@]})); then
        kind+=("--set-secrets=$(IFS=,; printf %s "${secrets[*]}")")
    else
        kind+=(--clear-secrets)
    fi
    if [[ -n $VERSION ]]; then kind+=("--update-labels=version=$VERSION"); fi
    find_number
    variables_file >"$MADE/variables.yaml"
    hold "$name"
    patiently 3 gcloud functions deploy "$name" --gen2 "--project=$PROJECT" "--region=$REGION" \
        "--runtime=$RUNTIME" --source=. "--entry-point=$name" "${kind[@]}" "${size[@]}" \
        "--ingress-settings=$ingress" "--service-account=$(account "$name")" \
        "--build-service-account=projects/$PROJECT/serviceAccounts/$(account build)" \
        "--set-build-env-vars=GOOGLE_FUNCTION_SOURCE=functions/$name.py" \
        "--env-vars-file=$MADE/variables.yaml" --quiet
    give_invokers "$name"
}

# Cloud Run's service of a function: about one of its fields.
service() {
    ask run services describe "$1" "--region=$REGION" "--project=$PROJECT" "${@:2}"
}

# The revision that calls go to; nothing if they go to several.
serving() {
    service "$1" '--flatten=status.traffic[]' \
        '--format=csv[no-heading](status.traffic.percent,status.traffic.revisionName)' |
        awk -F, '$1 == 100 { print $2 }'
}

change_traffic() {
    run gcloud run services update-traffic "$1" "--region=$REGION" "--project=$PROJECT" \
        "${@:2}" --format=none
}

# A function that is there keeps its calls until the release, whatever is deployed. The first one
# gets them at once.
hold() {
    local there now
    there=$(ask functions list "--project=$PROJECT" "--regions=$REGION" \
        '--format=value(name.basename())')
    among "$1" "$there" || return 0
    now=$(serving "$1")
    [[ -z $now ]] || change_traffic "$1" "--to-revisions=$now=100"
}

# All functions go over to what was deployed last, at one moment, then prove that they work.
release() {
    local name now new changed back=()
    for name in "${FUNCTIONS[@]}"; do
        now=$(serving "$name")
        new=$(service "$name" '--format=value(status.latestReadyRevisionName)')
        [[ $now != "$new" ]] || continue
        change_traffic "$name" "--to-revisions=$new=100" ${now:+"--update-tags=previous=$now"}
        [[ -z $now ]] || back=("$name $now" ${back[@]+"${back[@]}"})
    done
    smoke && return
    for changed in ${back[@]+"${back[@]}"}; do
        echo "Going back to ${changed#* }." >&2
        change_traffic "${changed% *}" "--to-revisions=${changed#* }=100"
    done
    exit 1
}

# The release marks what it replaces with the tag `previous`.
rollback() {
    local name tags back=()
    for name in "${FUNCTIONS[@]}"; do
        tags=$(service "$name" '--flatten=status.traffic[]' '--format=value(status.traffic.tag)')
        [[ -n $DRY_RUN ]] || among previous "$tags" || fail "There is no version of $name to go back to."
        back=("$name" ${back[@]+"${back[@]}"})
    done
    for name in "${back[@]}"; do
        change_traffic "$name" --to-tags=previous=100
    done
    echo "All functions are back at the version before." >&2
}

# Whether the functions are those that were deployed and load what is uploaded: a file in test/ is
# checked, and nothing is loaded. Says the result in one line.
smoke() {
    local name label began=$SECONDS
    for name in "${FUNCTIONS[@]}"; do
        label=$(service "$name" '--format=value(metadata.labels.version)')
        [[ $label == "$VERSION" || -z $VERSION || -n $DRY_RUN ]] || {
            failed "$name is version ${label:-unknown}, not $VERSION." "step $name of this build"
            return 1
        }
    done
    clean_smoke
    smoke_file || return 1
    clean_smoke
    [[ -n $DRY_RUN ]] || echo "Smoke test passed in $((SECONDS - began)) s: the functions are version" \
        "${VERSION:-unknown} and have checked a file." >&2
}

smoke_file() {
    local time file verdict='' folder tries=${SMOKE_TRIES:-60}
    time=$(date -u +%Y%m%dT%H%M%SZ) file=customers_$time
    printf 'PERIDX,EMAIL,PRIVACY\r\n%s,smoke@example.com,Yes\r\n' "$(tr -cd 0-9 <<<"$time")" \
        >"$MADE/$file.csv"
    run gcloud storage cp "$MADE/$file.csv" "gs://$BUCKET/test/$SMOKE/$file.csv" || {
        failed "The test file cannot be uploaded." "the roles of the account import-deploy."
        return 1
    }
    [[ -z $DRY_RUN ]] || return 0
    until [[ -n $verdict ]] || ((tries-- == 0)); do
        sleep "${SMOKE_PAUSE:-5}"
        for folder in reports rejected; do
            verdict+=$(gcloud storage cat "gs://$BUCKET/$folder/$SMOKE/test/$file.report.json" \
                2>/dev/null || true)
        done
    done
    if [[ -z $verdict ]]; then
        failed "No report on test/$SMOKE/$file.csv in time." "$(log_of "$file")"
        return 1
    elif ! grep -Eq '"status": *"checked"' <<<"$verdict"; then
        failed "The file test/$SMOKE/$file.csv was not accepted: $verdict" "$(log_of "$file")"
        return 1
    fi
}

failed() {
    echo "Smoke test failed: $1 Look at $2" >&2
}

# How to see what became of a file. Where classify has not spoken of it, the trouble is there.
log_of() {
    local filter='resource.labels.service_name=("classify" OR "load") AND '
    filter+="(severity>=WARNING OR jsonPayload.importId=\"test_$1\")"
    echo "the logs of classify and load: gcloud logging read '$filter' --freshness=1h --project=$PROJECT"
}

# What smoke tests have left in the bucket, this one or one that was broken off.
clean_smoke() {
    local folder
    for folder in test/$SMOKE processed/$SMOKE rejected/$SMOKE reports/$SMOKE; do
        run gcloud storage rm "gs://$BUCKET/$folder/**" 2>/dev/null || true
    done
}

# The settings that are set, for a shell.
variables() {
    local name value
    find_number
    while IFS='=' read -r name value; do
        printf 'export %s=%q\n' "$name" "$value"
    done < <(settings)
}

# The same, as gcloud reads them.
variables_file() {
    local name value
    printf 'PYTHONPATH: "/workspace"\n'
    while IFS='=' read -r name value; do
        printf '%s: "%s"\n' "$name" "$(printf %s "$value" | sed 's/[\"]/\\&/g')"
    done < <(settings)
}

give_invokers() {
    local who role on why member
    while IFS='|' read -r who role on why; do
        [[ $on == "function/$1" ]] || continue
        member=$(member "$who")
        [[ -n $member ]] || continue
        run gcloud run services add-iam-policy-binding "$1" "--project=$PROJECT" \
            "--region=$REGION" "--member=$member" "--role=$role" --condition=None --format=none ||
            fail "$who did not get $role, which it needs: $why"
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
[[ ${PARTS[*]:-} == firestore ]] || need_gcloud
case ${PARTS[*]:-} in
    firestore | queue | bucket | schedule | metrics | monitoring) "${PARTS[0]}" ;;
    release | smoke | rollback | variables) "${PARTS[0]}" ;;
    'function '*) deploy_function "${PARTS[1]}" ;;
    *) usage >&2 && exit 2 ;;
esac
