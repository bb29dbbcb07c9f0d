#!/usr/bin/env bash
# Makes a Google Cloud project ready for the first deployment. Safe to run again: what is there
# already is left as it is.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: deploy/setup.sh --project PROJECT [options]

  --project PROJECT     the project; it must exist and have a billing account
  --environment NAME    instead: take the options from deploy/environments/NAME.env
  --region REGION       where everything is kept and runs (default: australia-southeast1)
  --bucket BUCKET       the bucket for the uploads (default: PROJECT-uploads)
  --queue QUEUE         the queue of the tasks (default: imports)
  --operators MEMBER    who operates it, e.g. group:imports@example.com or user:ann@example.com
  --deployers MEMBER    who may deploy without owning the project, e.g. group:dev@example.com
  --alert-email EMAIL   who gets mail about alerts
  --budget AMOUNT       mail the billing account's administrators at 50, 90 and 100 % of this monthly
                        amount, e.g. 50AUD, in the currency of the billing account
  --dry-run             show the commands for an empty project; needs no account, changes nothing
TEXT
}

PROJECT='' ENVIRONMENT='' REGION=${REGION:-} OPERATORS='' DEPLOYERS='' ALERT_EMAIL='' BUDGET=''
while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --dry-run) DRY_RUN=yes ;;
        --project | --environment | --region | --bucket | --queue | --operators | --deployers | \
            --alert-email | --budget)
            (($# > 1)) || fail "$1 needs a value."
            option "$1" "$2"
            shift
            ;;
        *) usage >&2 && exit 2 ;;
    esac
    shift
done
name_everything
MADE=$(mktemp -d)
trap 'rm -rf "$MADE"' EXIT

enable_apis() {
    run gcloud services enable \
        artifactregistry.googleapis.com billingbudgets.googleapis.com \
        cloudbilling.googleapis.com cloudbuild.googleapis.com cloudfunctions.googleapis.com \
        cloudresourcemanager.googleapis.com cloudscheduler.googleapis.com \
        cloudtasks.googleapis.com eventarc.googleapis.com firebaserules.googleapis.com \
        firestore.googleapis.com iam.googleapis.com logging.googleapis.com \
        monitoring.googleapis.com pubsub.googleapis.com run.googleapis.com \
        secretmanager.googleapis.com storage.googleapis.com \
        "--project=$PROJECT"
    find_number
    # Google's own accounts of these services come into being when they are first asked for.
    local service
    for service in eventarc pubsub; do
        run gcloud beta services identity create "--service=$service.googleapis.com" \
            "--project=$PROJECT"
    done
    run gcloud storage service-agent "--project=$PROJECT"
}

make_accounts() {
    local there name
    there=$(ask iam service-accounts list "--project=$PROJECT" '--format=value(email)')
    for name in $(accounts); do
        among "$(account "$name")" "$there" ||
            run gcloud iam service-accounts create "import-$name" \
                "--display-name=Imports: $name" "--project=$PROJECT"
    done
}

# A role that Google has no narrow one for.
make_own_role() {
    local permissions=storage.buckets.get,storage.buckets.update,storage.objects.list there
    there=$(ask iam roles list "--project=$PROJECT" '--format=value(name.basename())')
    if among importBucketSettings "$there"; then
        run gcloud iam roles update importBucketSettings "--project=$PROJECT" \
            "--permissions=$permissions" --quiet
    else
        run gcloud iam roles create importBucketSettings "--project=$PROJECT" \
            '--title=Bucket settings' "--permissions=$permissions" --stage=GA
    fi
}

# Versioning is off and soft delete on: a file deleted or replaced by mistake can be restored for a
# week, and nothing that had to be erased outlives that week.
make_buckets() {
    local there name
    there=$(ask storage buckets list "--project=$PROJECT" '--format=value(name)')
    for name in "$BUCKET" "$STAGING"; do
        among "$name" "$there" ||
            run gcloud storage buckets create "gs://$name" "--project=$PROJECT" \
                "--location=$REGION" --uniform-bucket-level-access --public-access-prevention \
                --soft-delete-duration=7d
    done
}

make_database() {
    local there kind
    there=$(ask firestore databases list "--project=$PROJECT" '--format=value(name.basename(),type)')
    kind=$(awk -v name="$DATABASE" '$1 == name { print $2 }' <<<"$there")
    case $kind in
        FIRESTORE_NATIVE)
            run gcloud firestore databases update "--database=$DATABASE" --enable-pitr \
                --delete-protection "--project=$PROJECT"
            ;;
        '')
            run gcloud firestore databases create "--database=$DATABASE" "--location=$REGION" \
                --type=firestore-native --enable-pitr --delete-protection "--project=$PROJECT"
            ;;
        *) fail "The database $DATABASE is in Datastore mode, which cannot be changed once it has" \
            "been used. Set DATABASE to another name in deploy/settings.env, or take a project of" \
            "its own for the imports." ;;
    esac
    there=$(ask firestore backups schedules list "--database=$DATABASE" "--project=$PROJECT" \
        '--format=value(name)')
    [[ -n $there ]] ||
        run gcloud firestore backups schedules create "--database=$DATABASE" --recurrence=daily \
            --retention=7d "--project=$PROJECT"
}

# The log is kept in the region, too, for 30 days; Google's own bucket for it is in none.
make_log() {
    local there
    there=$(ask logging buckets list "--location=$REGION" "--project=$PROJECT" \
        '--format=value(name.basename())')
    among imports "$there" ||
        run gcloud logging buckets create imports "--location=$REGION" --retention-days=30 \
            "--project=$PROJECT"
    # Both words before the options: gcloud does not take the second one after them.
    run gcloud logging sinks update _Default \
        "logging.googleapis.com/projects/$PROJECT/locations/$REGION/buckets/imports" \
        "--project=$PROJECT"
}

# Who reads or writes documents and objects is logged, except for the pipeline's own accounts. The policy
# carries an etag: should somebody change it in the meantime, it is read again.
make_audit() {
    local tries=5 who exempted=() python
    for who in classify load sweep status gateway; do
        exempted+=("serviceAccount:$(account "$who")")
    done
    [[ -z $DRY_RUN ]] || {
        run gcloud projects set-iam-policy "$PROJECT" "$MADE/after.json" --format=none
        return
    }
    python=${PYTHON:-$(gcloud info '--format=value(basic.python_location)')}
    while ((tries-- > 0)); do
        gcloud projects get-iam-policy "$PROJECT" --format=json >"$MADE/before.json"
        "$python" "$HERE/audit.py" "${exempted[@]}" <"$MADE/before.json" >"$MADE/after.json"
        run gcloud projects set-iam-policy "$PROJECT" "$MADE/after.json" --format=none && return
    done
    fail "The audit of data access cannot be switched on."
}

# Where Cloud Functions keeps the images of functions; it would make the place itself, and keep all.
make_images() {
    local there
    there=$(ask artifacts repositories list "--location=$REGION" "--project=$PROJECT" \
        '--format=value(name.basename())')
    among gcf-artifacts "$there" ||
        run gcloud artifacts repositories create gcf-artifacts --repository-format=docker \
            "--location=$REGION" "--project=$PROJECT"
    forget_images gcf-artifacts
}

make_secrets() {
    local there secret
    there=$(ask secrets list "--project=$PROJECT" '--format=value(name.basename())')
    for secret in alert-webhook mail-url; do
        among "$secret" "$there" ||
            run gcloud secrets create "$secret" --replication-policy=user-managed \
                "--locations=$REGION" "--project=$PROJECT"
    done
}

give_roles() {
    local who role on why member
    while IFS='|' read -r who role on why; do
        member=$(member "$who")
        [[ -n $member && $on != function/* ]] || continue
        give "$member" "${role/#own\//projects/$PROJECT/roles/}" "$on" ||
            fail "$who did not get $role, which it needs: $why"
    done < <(roles)
}

# Gives a role, if it is not given already: WHO, ROLE, ON of roles.txt.
give() {
    local kind on where=("--project=$PROJECT") only='' title='' condition=(--condition=None) known
    case $3 in
        project | functions-source) kind=(projects) on=$PROJECT where=() ;;
        bucket | bucket/*) kind=(storage buckets) on=gs://$BUCKET ;;
        staging) kind=(storage buckets) on=gs://$STAGING ;;
        queue) kind=(tasks queues) on=$QUEUE where+=("--location=$REGION") ;;
        secret/*) kind=(secrets) on=${3#secret/} ;;
        account/*) kind=(iam service-accounts) on=$(account "${3#account/}") ;;
        *) fail "roles.txt: nobody knows what $3 is." ;;
    esac
    # Where one role has a condition, gcloud wants the others to say that they have none. Queues know
    # no conditions.
    case $3 in
        queue) condition=() ;;
        functions-source) only=projects/_/buckets/gcf-v2- title=only-$3 ;;
        bucket/*)
            only=projects/_/buckets/$BUCKET/objects/${3#bucket/}/ title=only-${3#*/}
            ;;
    esac
    [[ -z $only ]] ||
        condition=("--condition=title=$title,expression=resource.name.startsWith(\"$only\")")
    known="$MADE/${kind[*]} ${on//\//-}"
    [[ -e $known ]] || ask "${kind[@]}" get-iam-policy "$on" ${where[@]+"${where[@]}"} \
        '--flatten=bindings[].members' \
        '--format=csv[no-heading,separator=" "](bindings.members,bindings.role,bindings.condition.title)' \
        >"$known" || true
    ! among "$1 $2 $title" "$(<"$known")" || return 0
    patiently 5 gcloud "${kind[@]}" add-iam-policy-binding "$on" "--member=$1" "--role=$2" \
        ${condition[@]+"${condition[@]}"} ${where[@]+"${where[@]}"} --format=none
}

make_channel() {
    local there
    [[ -n $ALERT_EMAIL ]] || return 0
    there=$(ask beta monitoring channels list "--project=$PROJECT" \
        '--format=value(labels.email_address)')
    among "$ALERT_EMAIL" "$there" ||
        run gcloud beta monitoring channels create --display-name=Imports --type=email \
            "--channel-labels=email_address=$ALERT_EMAIL" "--project=$PROJECT"
}

make_budget() {
    local billing there
    [[ -n $BUDGET ]] || return 0
    billing=$(ask billing projects describe "$PROJECT" \
        '--format=value(billingAccountName.basename())')
    billing=${billing:-${DRY_RUN:+BILLING_ACCOUNT}}
    [[ -n $billing ]] || fail "The project has no billing account: link one first."
    there=$(ask billing budgets list "--billing-account=$billing" \
        "--billing-project=$PROJECT" '--format=value(displayName)')
    among "Imports $PROJECT" "$there" ||
        run gcloud billing budgets create "--billing-account=$billing" \
            "--billing-project=$PROJECT" \
            "--display-name=Imports $PROJECT" "--budget-amount=$BUDGET" \
            "--filter-projects=projects/$PROJECT" --threshold-rule=percent=0.5 \
            --threshold-rule=percent=0.9 --threshold-rule=percent=1.0
}

MADE=$(mktemp -d)
trap 'rm -rf "$MADE"' EXIT
export PROJECT REGION QUEUE BUCKET DRY_RUN
need_components beta
enable_apis
make_accounts
make_own_role
make_buckets
make_database
make_log
make_images
"$HERE/deploy.sh" queue
make_secrets
give_roles
make_audit
make_channel
make_budget
echo "Done. Deploy with: gcloud builds submit --ignore-file=deploy/upload.gcloudignore" >&2
