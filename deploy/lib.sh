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

# The names that follow from PROJECT and REGION; each can be set in the environment.
name_everything() {
    [[ -n ${PROJECT:-} ]] || fail "Which project? Give --project."
    REGION=${REGION:-australia-southeast1}
    BUCKET=${BUCKET:-$PROJECT-uploads}
    QUEUE=${QUEUE:-imports}
    STAGING=${PROJECT}_cloudbuild # where gcloud builds submit uploads to unless told otherwise
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

# What a setting is: as it is set in settings.env, else the default that is shown there.
setting() {
    local value
    value=$(sed -n -e "s/^#\{0,1\}$1=//p" "$HERE/settings.env" | tail -n 1)
    place "$value"
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
