#!/usr/bin/env bash
# The cache of compiled kernels: two processes at once on a cold one, damaged and missing objects, one that is gone
# between two runs: the result is always that of a run of its own: cache.sh NASC
# shellcheck source=tests/cli/common
. cli/common
export NASC_CACHE=$work/cache

search() { # RUN: a search on a tiny space
    "$nasc" search golden/tiny.json --data synthetic:6x6x3/3/32 --set epochs=2 --threads 1 --quiet --out "$work/$1" \
        >"$work/$1.out" 2>&1 || say "run $1 failed: $(cat "$work/$1.out")"
}
same() { # RUN: as the first
    cmp -s "$work/alone/checkpoint.safetensors" "$work/$1/checkpoint.safetensors" || say "$1 ended in other bytes"
}
counts() { # COMPILED CACHED: kernels of a step, in Python: n is all of them
    "$nasc" bench step golden/tiny.json --steps 1 --json >"$work/step" || { say "bench step failed"; return; }
    python3 - "$work/step" "$1" "$2" <<'END' || say "not $1 compiled and $2 from the cache: $(cat "$work/step")"
import json, sys
r = json.load(open(sys.argv[1]))
n = r["kernels_compiled"] + r["kernels_cached"]
sys.exit(not (n > 4 and r["kernels_compiled"] == eval(sys.argv[2]) and r["kernels_cached"] == eval(sys.argv[3])))
END
}

search alone
rm -rf "$NASC_CACHE"
search one &
search two &
wait
same one
same two
ls "$NASC_CACHE" | grep -v '^[0-9a-f]*\.o$' && say "the cache holds other files than objects"

"$nasc" --version --json | grep -q '"llvm": null' && exit $bad # without LLVM nothing is cached
rm -rf "$NASC_CACHE"
counts n 0
counts 0 n
objects=("$NASC_CACHE"/*.o)
truncate -s -1 "${objects[0]}"
: >"${objects[1]}"
printf 'damage' | dd of="${objects[2]}" bs=1 seek=200 conv=notrunc 2>/dev/null
rm "${objects[3]}"
counts 4 n-4
counts 0 n
for object in "${objects[@]}"; do truncate -s 100 "$object"; done
search damaged
same damaged
exit $bad
