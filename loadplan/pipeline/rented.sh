# shellcheck shell=bash
# shellcheck disable=SC2154  # the upper-case names stand above
set -euo pipefail
cd -- "$(dirname -- "$0")"
trap '' HUP # whoever watches may leave: the measuring goes on, and rented.log has what it says
exec > >(exec tee -a -p rented.log) 2>&1

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

finish() {
    code=$?
    trap - EXIT
    if [ "$code" -eq 0 ]; then
        echo "measured: $PROFILE"
    else
        echo "nothing to plan on: it ended with exit code $code, for the reason above; rented.log keeps it"
    fi
    if as_root shutdown -h "+$KEEP_MINUTES"; then
        echo "this machine switches itself off in $KEEP_MINUTES minutes. $AFTERWARDS"
    else
        echo "this machine switches itself off at its time limit. $AFTERWARDS"
    fi
    exit "$code"
}

echo "$COST"
# Before anything else, and by the system itself: whatever becomes of this script, the machine goes off.
if ! as_root shutdown -h "+$((LIMIT_MINUTES + KEEP_MINUTES))"; then
    echo "this machine can't be told from here to switch itself off, so nothing is measured on it: delete it yourself"
    exit 4
fi
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python=
for candidate in python3.13 python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null &&
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "no Python 3.11 to 3.13 is here: take an image that brings one, such as Ubuntu 24.04 or Debian 12"
    exit 4
fi
if ! "$python" -m venv venv; then # Debian and Ubuntu have it in a package of its own
    as_root apt-get -qq update
    as_root apt-get -qq install -y "$python-venv"
    "$python" -m venv venv
fi
venv/bin/python -m pip install --quiet --disable-pip-version-check "${LOADPLAN:-$REQUIREMENT}"

left_s=$((LIMIT_MINUTES * 60 - SECONDS))
if [ "$left_s" -le 0 ]; then
    echo "the time limit of $LIMIT_MINUTES minutes was over before anything was installed"
    exit 4
fi
timeout --kill-after=60 "$left_s" venv/bin/loadplan profile "$SCENARIO" --out "$PROFILE"
if [ -n "${PUT_URL:-}" ]; then
    curl --fail --silent --show-error --upload-file "$PROFILE" "$PUT_URL"
    KEEP_MINUTES=1
fi
