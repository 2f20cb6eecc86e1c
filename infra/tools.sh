#!/bin/sh
# What some tests need beside Python: a browser, Prometheus and its Alertmanager, PostgreSQL. Debian has them; elsewhere install them by
# hand. Tests that miss one are skipped and say so. SKIP_TOOLS=1 installs nothing. POLICY_FILE and POSTGRESQL are other places, for tests.
set -u
policy=${POLICY_FILE:-/usr/sbin/policy-rc.d}
postgresql=${POSTGRESQL:-/usr/lib/postgresql}
[ -n "${SKIP_TOOLS:-}" ] && exit 0

find_missing() {
    missing=""
    command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
    command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
    command -v prometheus-alertmanager >/dev/null 2>&1 || missing="$missing prometheus-alertmanager"
    ls "$postgresql"/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
    [ -n "$missing" ]
}

find_missing || exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "not here:$missing (their tests are skipped)"
    exit 0
fi
# One at a time: the first to end would take away the policy that the second relies on. The lock lies on the policy's
# folder, so that it leaves no file behind.
exec 9<"$(dirname "$policy")"
flock 9
find_missing || exit 0

# A package must not start a server of its own on this machine. A policy that somebody else made stays as it is; one of
# ours that is there although the lock was free was left by a run that was killed.
mark="# infra/tools.sh made this; it is gone when the packages are installed"
child=""
cleaned=""
clean() {
    [ -z "$cleaned" ] || return 0
    cleaned=yes
    # What is being installed ends first: no server may start once the policy is gone.
    [ -z "$child" ] || { kill "$child" 2>/dev/null; wait "$child" 2>/dev/null; }
    grep -qsxF "$mark" "$policy" && rm -f "$policy"
}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 131' QUIT
trap 'exit 141' PIPE
trap 'exit 143' TERM
[ -e "$policy" ] || { printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy" && chmod +x "$policy"; }

# In the background: a shell that waits for a program in the foreground hears no signal until it ends.
run() {
    DEBIAN_FRONTEND=noninteractive "$@" >/dev/null 2>&1 9<&- &
    child=$!
    wait "$child"
    code=$?
    child=""
    return "$code"
}
# shellcheck disable=SC2086 # several words
install() { run apt-get install -y --no-install-recommends $missing; }

echo "installing$missing"
install || { run apt-get update && install; } || echo "could not install$missing (their tests are skipped)"
exit 0
