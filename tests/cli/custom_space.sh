#!/usr/bin/env bash
# examples/custom_space, an op written in JSON alone, is searched, derived, trained and exported: custom_space.sh NASC
set -u
nasc=$1 bad=0
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
space=../examples/custom_space/space.json op=squeeze_excite_3x3
fail() { echo "custom_space.sh: $*"; bad=1; }
must() { "$@" >"$work/out" 2>"$work/err" || { fail "failed: $*"; cat "$work/out" "$work/err"; exit 1; }; }
small=(--data synthetic:8x8x3/4/64 --channels 4 --cells 3 --quiet --set batch=16 --set epochs=1)

must "$nasc" search "$space" "${small[@]}" --set steps=2 --method darts-1st --out "$work/run"
grep -q "alphas_normal" "$work/run/log.jsonl" || fail "the log has no alphas"
must "$nasc" derive "$work/run" -o "$work/found.json"
cmp -s "$work/found.json" "$work/run/genotype.json" || fail "derive differs from what the search wrote"

# A genotype that has the op: what was found, or the first by chance.
cp "$work/found.json" "$work/genotype.json"
for seed in 0 1 2 3 4 5 6 7 8 9; do
    [ "$(grep -c "\"$op\", [01]\]" "$work/genotype.json")" -ge 1 ] && break
    must "$nasc" derive "$space" --random --seed $seed -o "$work/genotype.json"
done
grep -q "\"$op\", [01]\]" "$work/genotype.json" || fail "ten random genotypes without $op"
must "$nasc" train "$work/genotype.json" "${small[@]}" --set steps=2 --out "$work/trained"
must "$nasc" export "$work/trained" --to c --target generic --name custom --out "$work/c"
must gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -ffp-contract=off -O1 "$work"/c/*.c -o "$work/custom_test"
"$work/custom_test" | grep -q passed || fail "$("$work/custom_test" 2>&1)"
exit $bad
