#!/bin/sh
# Checks the specifications with spin (Debian: apt-get install spin) and a C compiler: `make spec`, or FAULTS=4 make spec.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for tool in spin cc; do
    command -v "$tool" >/dev/null || { echo "this needs $tool (Debian: apt-get install spin gcc)"; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here"/*.pml .

explore() { # MODEL FAULTS BREAK [OPTION]: leaves what spin found in the file `found`
    spin -DFAULTS="$2" -DBREAK="$3" ${4:-} -a "$1.pml"
    cc -O2 -DCOLLAPSE -DSAFETY -w -o pan pan.c
    # lineage.pml says nothing of outcomes: where its processes have no more to do is no error.
    ./pan -m1000000 $([ "$1" = lineage ] && echo -E) >found
}

holds() { # MODEL FAULTS [OPTION]
    explore "$1" "$2" 0 "${3:-}"
    echo "$1, faults $2 ${3:-}"
    grep -E "errors:|states, stored|transitions" found
    grep -q "errors: 0" found || { echo "the protocol breaks its promise: spin's trail tells how"; exit 1; }
    ! grep -q "max search depth too small" found || { echo "not everything was explored"; exit 1; }
}

breaks() { # MODEL FAULTS BREAK [OPTION]
    name=$(sed -n "s/^#define \\([A-Z_]*\\) $3  *.*/\\1/p" "$1.pml")
    explore "$1" "$2" "$3" "${4:-}"
    grep -q "assertion violated" found || { echo "$name: not found"; exit 1; }
    echo "$name: found, after$(sed -n 's/^ *\([0-9]*\) states, stored.*/ \1 states/p' found)"
}

holds mailonce "${FAULTS:-3}"
for break in 1 2 3 4 5 6; do breaks mailonce 2 "$break"; done
holds lineage "${LINEAGE_FAULTS:-1}"
holds lineage "${LINEAGE_FAULTS:-1}" -DINTERLUDE
holds lineage "${LINEAGE_FAULTS:-1}" -DSPLIT
for break in 1 2 3 5 6; do breaks lineage 1 "$break"; done
breaks lineage 1 4 -DSPLIT
breaks lineage 1 7 -DINTERLUDE
