#!/bin/sh
# What some tests need beside Python: a browser, Prometheus and its Alertmanager, PostgreSQL. Debian has them; elsewhere install them by
# hand. Tests that miss one are skipped and say so. SKIP_TOOLS=1 installs nothing.
set -u
[ -n "${SKIP_TOOLS:-}" ] && exit 0
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
command -v prometheus-alertmanager >/dev/null 2>&1 || missing="$missing prometheus-alertmanager"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "not here:$missing (their tests are skipped)"
    exit 0
fi
echo "installing$missing"
# A package must not start a server of its own on this machine.
policy=/usr/sbin/policy-rc.d
made=""
[ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=yes; }
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >/dev/null 2>&1; }
install || { apt-get update >/dev/null 2>&1 && install; } || echo "could not install$missing (their tests are skipped)"
[ -z "$made" ] || rm -f "$policy"
exit 0
