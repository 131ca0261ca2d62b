#!/usr/bin/env bash
# examples/custom_space, an op written in JSON alone, is searched, derived, trained and exported: custom_space.sh NASC
# shellcheck source=tests/cli/common
. cli/common
space=../examples/custom_space/space.json op=squeeze_excite_3x3
small=(--data synthetic:8x8x3/4/64 --channels 4 --cells 3 --quiet --set batch=16 --set epochs=1)

must "$nasc" search "$space" "${small[@]}" --set steps=2 --method darts-1st --out "$work/run"
grep -q "alphas_normal" "$work/run/log.jsonl" || say "the log has no alphas"
must "$nasc" derive "$work/run" -o "$work/found.json"
cmp -s "$work/found.json" "$work/run/genotype.json" || say "derive differs from what the search wrote"

# A genotype that has the op: what was found, or the first by chance.
cp "$work/found.json" "$work/genotype.json"
for seed in 0 1 2 3 4 5 6 7 8 9; do
    [ "$(grep -c "\"$op\", [01]\]" "$work/genotype.json")" -ge 1 ] && break
    must "$nasc" derive "$space" --random --seed $seed -o "$work/genotype.json"
done
grep -q "\"$op\", [01]\]" "$work/genotype.json" || say "ten random genotypes without $op"
must "$nasc" train "$work/genotype.json" "${small[@]}" --set steps=2 --out "$work/trained"
must "$nasc" export "$work/trained" --to c --target generic --name custom --out "$work/c"
must gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -ffp-contract=off -O1 "$work"/c/*.c -o "$work/custom_test"
"$work/custom_test" | grep -q passed || say "$("$work/custom_test" 2>&1)"
exit $bad
