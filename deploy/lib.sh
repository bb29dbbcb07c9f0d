# What setup.sh, deploy.sh and teardown.sh have in common: where things are, how they are asked for
# and how they are changed. Sourced, not run.
# shellcheck shell=bash disable=SC2034 # the scripts use what is set here

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DRY_RUN=${DRY_RUN:-}

# Says why it stops, and stops.
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Where an environment is: nothing of that is taken from the shell, which may speak of another one.
WHERE=(REGION BUCKET QUEUE)
WHO=(OPERATORS DEPLOYERS ALERT_EMAIL BUDGET SWEEP_SCHEDULE ALERT_WEBHOOK_SECRET MAIL_URL_SECRET GATEWAY_OPTIONS)

# Reads deploy/environments/NAME.env: its project, its WHERE, and of its WHO what is not given already.
# Its other lines are settings, which go before those of settings.env.
read_environment() {
    local file=$HERE/environments/${ENVIRONMENT:-}.env name value
    [[ -n ${ENVIRONMENT:-} ]] || return 0
    [[ -r $file ]] || fail "There is no environment $ENVIRONMENT: deploy/environments/$ENVIRONMENT.env is missing."
    for name in "${WHERE[@]}"; do printf -v "$name" %s ''; done
    while IFS='=' read -r name value; do
        case " PROJECT ${WHERE[*]} ${WHO[*]} " in
            *" $name "*) [[ -n ${!name:-} ]] || printf -v "$name" %s "$value" ;;
            *)
                grep -Eq "^#?$name=" "$HERE/settings.env" ||
                    fail "deploy/environments/$ENVIRONMENT.env: unknown setting $name."
                ;;
        esac
        [[ $name != PROJECT || $PROJECT == "$value" ]] ||
            fail "The environment $ENVIRONMENT is the project $value, not $PROJECT."
    done < <(lines_of "$file")
}

# The lines of a file of names and values.
lines_of() {
    sed -e '/^#/d' -e '/^ *$/d' "$1"
}

# The names that follow from PROJECT and REGION; each can be set in the shell or by the environment.
name_everything() {
    read_environment
    [[ -n ${PROJECT:-} ]] || fail "Which project? Give --project or --environment."
    REGION=${REGION:-australia-southeast1}
    BUCKET=${BUCKET:-$PROJECT-uploads}
    QUEUE=${QUEUE:-imports}
    STAGING=${PROJECT}_cloudbuild # where gcloud builds submit uploads to unless told otherwise
    DATABASE=$(setting DATABASE)
}

# Runs a command, or only shows it.
run() {
    if [[ -n $DRY_RUN ]]; then
        local words
        printf -v words '%q ' "$@"
        printf '%s\n' "${words% }"
    else
        "$@" </dev/null # so that nothing stops to ask
    fi
}

# Asks gcloud for what there is, a line each. A dry run asks nothing, needs no account, and takes it
# that there is nothing yet.
ask() {
    [[ -n $DRY_RUN ]] || gcloud "$@"
}

# Whether a line is among those of a text.
among() {
    grep -Fxq -- "$1" <<<"$2"
}

# Sets the variable of an option: --alert-email sets ALERT_EMAIL. (Not ${name^^}: macOS has bash 3.2.)
option() {
    printf -v "$(tr 'a-z-' 'A-Z_' <<<"${1#--}")" %s "$2"
}

# Stops at once where gcloud is not installed.
need_gcloud() {
    [[ -n $DRY_RUN ]] || command -v gcloud >/dev/null ||
        fail "Install the Google Cloud CLI: https://cloud.google.com/sdk/docs/install"
}

# Stops at once where a component of gcloud is not installed: a tarball comes without alpha and beta.
need_components() {
    local there component
    need_gcloud
    [[ -z $DRY_RUN ]] || return 0
    there=$(gcloud version)
    for component in "$@"; do
        grep -q "^$component " <<<"$there" ||
            fail "The Google Cloud CLI lacks its component $component. Install it:" \
                "gcloud components install $*"
    done
}

# The project's number, which Google's own accounts and the addresses of services carry. A build
# is told it.
find_number() {
    if [[ -n $DRY_RUN ]]; then
        PROJECT_NUMBER=PROJECT_NUMBER
    elif [[ -z ${PROJECT_NUMBER:-} ]]; then
        PROJECT_NUMBER=$(gcloud projects describe "$PROJECT" '--format=value(projectNumber)')
    fi
}

# The address of a function. Cloud Run gives this form to every service, so it is known before the
# service is there; calls from within the project count as internal at this address.
address_of() {
    printf 'https://%s-%s.%s.run.app' "$1" "$PROJECT_NUMBER" "$REGION"
}

# Tries a command up to so many times, a minute apart: what was just made, an account, an API or a
# metric, may take minutes to be known everywhere.
patiently() {
    local tries=$1
    shift
    until run "$@"; do
        ((--tries > 0)) || return 1
        echo "That may need a moment. Trying again in a minute." >&2
        sleep "${PAUSE:-60}"
    done
}

# Deletes images of a repository after 30 days, but not the latest ten of each: what is deployed, and
# what can be gone back to.
forget_images() {
    run gcloud artifacts repositories set-cleanup-policies "$1" "--location=$REGION" \
        "--policy=$HERE/images.json" --no-dry-run "--project=$PROJECT" --format=none
}

account() {
    printf 'import-%s@%s.iam.gserviceaccount.com' "$1" "$PROJECT"
}

# The lines of roles.txt: who, role, on and why, with | between them.
roles() {
    sed -e '/^#/d' -e '/^$/d' -e 's/ *| */|/g' "$HERE/roles.txt"
}

# The accounts that roles.txt speaks of.
accounts() {
    roles | cut -d'|' -f1 | grep -vx -e '.*-agent' -e operators -e deployers | sort -u
}

# Who is meant by a name of roles.txt, as IAM writes it; nothing if nobody is.
member() {
    case $1 in
        storage-agent) printf 'serviceAccount:service-%s@gs-project-accounts.iam.gserviceaccount.com' "$PROJECT_NUMBER" ;;
        eventarc-agent) printf 'serviceAccount:service-%s@gcp-sa-eventarc.iam.gserviceaccount.com' "$PROJECT_NUMBER" ;;
        operators) printf '%s' "${OPERATORS:-}" ;;
        deployers) printf '%s' "${DEPLOYERS:-}" ;;
        *) printf 'serviceAccount:%s' "$(account "$1")" ;;
    esac
}

# The settings that are set, NAME=VALUE each: those of the environment, then those of settings.env
# that it leaves open.
settings() {
    local own='' name value
    [[ -z ${ENVIRONMENT:-} ]] || own=$(lines_of "$HERE/environments/$ENVIRONMENT.env")
    while IFS='=' read -r name value; do
        case " PROJECT ${WHERE[*]} ${WHO[*]} " in
            *" $name "*) ;;
            *) printf '%s=%s\n' "$name" "$(place "$value")" ;;
        esac
    done < <(printf '%s' "${own:+$own$'\n'}")
    while IFS='=' read -r name value; do
        case " ${WHERE[*]} " in
            *" $name "*) ;;
            *) ! grep -q "^$name=" <<<"$own" || continue ;;
        esac
        printf '%s=%s\n' "$name" "$(place "$value")"
    done < <(lines_of "$HERE/settings.env")
}

# What a setting is: as it is set, else the default that is shown in settings.env.
setting() {
    local value
    value=$(settings | sed -n "s/^$1=//p")
    printf '%s' "${value:-$(place "$(sed -n "s/^#$1=//p" "$HERE/settings.env" | tail -n 1)")}"
}

# Puts the names in for $PROJECT, $PROJECT_NUMBER, $REGION, $BUCKET and $QUEUE.
place() {
    local text=$1
    # shellcheck disable=SC2016 # the dollars are those of settings.env
    text=${text//'$PROJECT_NUMBER'/${PROJECT_NUMBER:-}}
    # shellcheck disable=SC2016
    text=${text//'$PROJECT'/$PROJECT} text=${text//'$REGION'/$REGION}
    # shellcheck disable=SC2016
    text=${text//'$BUCKET'/$BUCKET} text=${text//'$QUEUE'/$QUEUE}
    printf '%s' "$text"
}
