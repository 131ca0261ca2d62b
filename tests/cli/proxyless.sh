#!/usr/bin/env bash
# Searches of spaces that select candidates: from the space to C, by every method; each epoch's genotype; several runs; what
# is refused: proxyless.sh NASC
# shellcheck source=tests/cli/common
. cli/common
small=../genotypes/spaces/proxyless_small.json cells=../genotypes/spaces/proxyless_cells.json

data=(--data synthetic:8x8x1/4/320)
short=(--channels 4 --set batch=16 --set epochs=2 --set steps=4 --set warmup_epochs=0 --set alpha_every=2 --quiet)
must "$nasc" search $small "${data[@]}" "${short[@]}" --out "$work/two"
must "$nasc" search $small "${data[@]}" "${short[@]}" --method proxyless-all --out "$work/all" --cost params \
    --target-cost 5000 --set cost_loss=add#linear
must "$nasc" search $cells "${data[@]}" "${short[@]}" --cells 3 --method proxyless-reinforce --set alpha_samples=2 \
    --cost macs --target-cost 100000 --out "$work/cells"
for run in two all cells; do
    must "$nasc" derive "$work/$run" -o "$work/last.json"
    cmp -s "$work/last.json" "$work/$run/genotype.json" || say "$run: genotype.json is not the last epoch's"
    must "$nasc" derive "$work/$run" --epoch 1
done
must "$nasc" info "$work/cells/genotype.json" --channels 4 --cells 3 --input 8x8x1 --classes 4
macs=$(awk '/^total/ { print $3 }' "$work/out")
grep -q "\"cost\": $macs\$" "$work/cells/run.json" || say "cells: $macs multiply-adds, run.json says $(grep '"cost"' "$work/cells/run.json")"
grep -q '"expected_cost"' "$work/cells/log.jsonl" || say "the log has no expected cost"
grep -q '"method": *"proxyless"' "$work/two/run.json" || say "run.json has no method"

# The genotype is one like any other.
must "$nasc" train "$work/two/genotype.json" "${data[@]}" --channels 4 --set batch=16 --set epochs=1 --quiet --out "$work/train"
must "$nasc" eval "$work/train" "${data[@]}"
must "$nasc" export "$work/train" --to c --target generic --name two --out "$work/c"
must gcc -std=c11 -ffp-contract=off -O1 "$work"/c/*.c -o "$work/two_test"
must "$work/two_test" "$work/c/two.bin"
must "$nasc" train "$work/cells/genotype.json" "${data[@]}" --channels 4 --cells 3 --set batch=16 --set epochs=1 \
    --set auxiliary=0 --quiet --out "$work/train-cells"
must "$nasc" search $small "${data[@]}" "${short[@]}" --runs 2 --set epochs=1 --set select_epochs=1 --out "$work/several"
[ "$(grep -cE "^ +[01] +[0-9.]+ %" "$work/out")" = 2 ] || say "several runs: $(cat "$work/out")"

new=(--out "$work/new")
diverging=(--set lr=1000 --set weight_decay=1000 --set epochs=1 --set steps=12)
fails 'cannot learn \(combine: select\)' search $small "${data[@]}" "${new[@]}" --method darts-1st
fails 'cannot learn \(combine: mix\)' search ../genotypes/spaces/darts.json "${data[@]}" "${new[@]}" --method proxyless
# space FROM CHANGE: $work/space.json, over `j` in Python
space() {
    python3 - "$1" "$work/space.json" "$2" <<'END'
import json, sys
j = json.load(open(sys.argv[1]))
exec(sys.argv[3])
json.dump(j, open(sys.argv[2], "w"))
END
}
space $cells 'j["cells"]["reduce"]["combine"] = "mix"'
fails 'proxyless_cells: has choices whose candidates are mixed beside such that are selected' search "$work/space.json" "${data[@]}" \
    "${short[@]}" --cells 3 "${new[@]}"
space $small 'del j["network"][1]["blocks"][1:]'
fails 'proxyless_small: has no choices: there is nothing to search' search "$work/space.json" "${data[@]}" "${short[@]}" "${new[@]}"
space search/planted.json 'del j["network"][1]'
fails 'planted: has choices that DARTS cannot learn, or none' search "$work/space.json" "${data[@]}" "${short[@]}" "${new[@]}"
fails '--cost: is for the methods of spaces that select' search ../genotypes/spaces/darts.json "${data[@]}" "${new[@]}" --cost macs \
    --target-cost 5
fails_with 2 '--cost: macs needs a target: --target-cost A' search $small "${data[@]}" "${new[@]}" --cost macs
fails_with 2 '--target-cost: goes with --cost macs or --cost params' search $small "${data[@]}" "${new[@]}" --target-cost 7
fails '--target-cost: 7 is below the [0-9]+ macs of the cheapest network of proxyless_small' search $small "${data[@]}" "${new[@]}" --cost macs --target-cost 7
fails '32 of its 320 training images are held out \(held_out\)' search $small "${data[@]}" --set batch=64 --quiet "${new[@]}"
fails '317 of its 320 training images are held out' search $small "${data[@]}" --set batch=16 --set held_out=0.99 --quiet "${new[@]}"
fails 'cost_loss: mul#log takes the logarithm' search $small --set cost_loss=mul#log "${data[@]}" --channels 1 --set batch=16 --quiet "${new[@]}" \
    --cost params --target-cost 900
fails 'search: the loss is not a number after step [1-9], with lr [0-9.e+]+: a smaller lr is needed' search $small "${data[@]}" \
    "${short[@]}" "${diverging[@]}" "${new[@]}"
fails 'search: the loss is not a number after step [1-9],' search $small "${data[@]}" "${short[@]}" "${diverging[@]}" --runs 2 --out "$work/new/several"
[ ! -e "$work/new" ] || say "a run that was refused leaves $(find "$work/new")"
fails_with 2 'takes everything from run.json' search --resume --out "$work/two" --cost macs
exit $bad
