#!/usr/bin/env bash
# Takes out of a project what setup.sh and the deployments have put into it. The data stays unless
# it is asked for by name. Safe to run again.
set -euo pipefail
# shellcheck source=deploy/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
Usage: deploy/teardown.sh --project PROJECT [options]

  --project PROJECT   the project
  --environment NAME  as for setup.sh
  --region REGION     as for setup.sh; likewise --bucket, --queue, --operators
                      and --deployers
  --delete-data       also delete the buckets with every file, and the database with every document.
                      Only the backups bring them back, for up to a week
  --dry-run           show the commands for a complete project; needs no account, changes nothing

The script asks for the project's name first. The APIs stay on. These stay, too, and cost nothing: the
role importBucketSettings, the channel of the alerts, the budget, the audit of data access, and for 30
days the log and the images of functions.
TEXT
}

PROJECT='' ENVIRONMENT='' REGION=${REGION:-} OPERATORS='' DEPLOYERS='' DELETE_DATA=''
while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --dry-run) DRY_RUN=yes ;;
        --delete-data) DELETE_DATA=yes ;;
        --project | --environment | --region | --bucket | --queue | --operators | --deployers)
            (($# > 1)) || fail "$1 needs a value."
            option "$1" "$2"
            shift
            ;;
        *) usage >&2 && exit 2 ;;
    esac
    shift
done
name_everything

confirm() {
    local answer
    [[ -z $DRY_RUN ]] || return 0
    printf 'This stops the imports in %s%s. Type the name of the project to continue: ' \
        "$PROJECT" "${DELETE_DATA:+ and deletes every file and every document}" >&2
    read -r answer
    [[ $answer == "$PROJECT" ]] || fail "Nothing was done."
}

# Whether something is there; a dry run takes it that everything is.
there() {
    [[ -n $DRY_RUN ]] || among "$1" "$2"
}

confirm
need_components alpha
find_number
where=("--project=$PROJECT")
here=("--location=$REGION" "${where[@]}")

# First what starts work, then what does it.
known=$(ask scheduler jobs list "${here[@]}" '--format=value(name.basename())')
! there sweep "$known" || run gcloud scheduler jobs delete sweep "${here[@]}" --quiet
known=$(ask functions list "${where[@]}" "--regions=$REGION" '--format=value(name.basename())')
for name in classify load sweep status; do
    ! there "$name" "$known" ||
        run gcloud functions delete "$name" --gen2 "--region=$REGION" "${where[@]}" --quiet
done
known=$(ask tasks queues list "${here[@]}" '--format=value(name.basename())')
! there "$QUEUE" "$known" || run gcloud tasks queues delete "$QUEUE" "${here[@]}" --quiet

# What watches it. Policies before the metrics they are about.
for file in "$HERE"/monitoring/policies/*.json; do
    name=$(basename "$file" .json) known=''
    if [[ -n $DRY_RUN ]]; then
        known=$name
    else
        known=$(gcloud alpha monitoring policies list "${where[@]}" \
            "--filter=userLabels.policy=\"$name\"" '--format=value(name)')
    fi
    [[ -z $known ]] || run gcloud alpha monitoring policies delete "$known" "${where[@]}" --quiet
done
known=$(ask logging metrics list "${where[@]}" '--format=value(name)')
for file in "$HERE"/monitoring/metrics/*.json; do
    name=$(basename "$file" .json)
    ! there "$name" "$known" || run gcloud logging metrics delete "$name" "${where[@]}" --quiet
done
known=$(ask monitoring dashboards list "${where[@]}" \
    '--filter=displayName="Apparel21 imports"' --limit=1 '--format=value(name)')
known=${known:-${DRY_RUN:+DASHBOARD}}
[[ -z $known ]] || run gcloud monitoring dashboards delete "$known" "${where[@]}" --quiet

# Who was allowed what. What a deleted thing allowed has gone with it.
known=$(ask projects get-iam-policy "$PROJECT" --flatten=bindings[].members \
    '--format=value(bindings.members,bindings.role)' | tr '\t' ' ')
while IFS='|' read -r who role on _; do
    [[ $on =~ ^(project|functions-source)$ ]] || continue
    member=$(member "$who")
    [[ -n $member ]] || continue
    ! there "$member $role" "$known" ||
        run gcloud projects remove-iam-policy-binding "$PROJECT" "--member=$member" \
            "--role=$role" --all --format=none
done < <(roles)
known=$(ask iam service-accounts list "${where[@]}" '--format=value(email)')
for name in $(accounts); do
    ! there "$(account "$name")" "$known" ||
        run gcloud iam service-accounts delete "$(account "$name")" "${where[@]}" --quiet
done
known=$(ask secrets list "${where[@]}" '--format=value(name.basename())')
for name in alert-webhook mail-url; do
    ! there "$name" "$known" || run gcloud secrets delete "$name" "${where[@]}" --quiet
done

[[ -n $DELETE_DATA ]] || exit 0
known=$(ask storage buckets list "${where[@]}" '--format=value(name)')
for name in "$BUCKET" "$STAGING"; do
    ! there "$name" "$known" ||
        run gcloud storage rm "gs://$name" --recursive "${where[@]}"
done
known=$(ask firestore databases list "${where[@]}" '--format=value(name.basename())')
if there "$DATABASE" "$known"; then
    run gcloud firestore databases update "--database=$DATABASE" --no-delete-protection "${where[@]}"
    run gcloud firestore databases delete "--database=$DATABASE" "${where[@]}" --quiet
fi
