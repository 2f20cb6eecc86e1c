#!/bin/sh
# Checks the specification with spin (Debian: apt-get install spin) and a C compiler: `make spec`, or FAULTS=4 make spec.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for tool in spin cc; do
    command -v "$tool" >/dev/null || { echo "this needs $tool (Debian: apt-get install spin gcc)"; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/mailonce.pml" .

explore() { # FAULTS BREAK: prints what spin found
    spin -DFAULTS="$1" -DBREAK="$2" -a mailonce.pml
    cc -O2 -DCOLLAPSE -DSAFETY -w -o pan pan.c
    ./pan -m1000000
}

explore "${FAULTS:-3}" 0 >found
grep -E "errors:|states, stored|transitions" found
grep -q "errors: 0" found || { echo "the protocol breaks its promise: spin's trail tells how"; exit 1; }
grep -q "max search depth too small" found && { echo "not everything was explored"; exit 1; }
for break in 1 2 3 4 5 6; do
    name=$(sed -n "s/^#define \\([A-Z_]*\\) $break  *.*/\\1/p" mailonce.pml)
    explore 2 "$break" >found
    grep -q "errors: 1" found || { echo "$name: not found"; exit 1; }
    echo "$name: found"
done
