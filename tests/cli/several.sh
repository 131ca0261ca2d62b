#!/usr/bin/env bash
# nasc search --runs N: each run is the search of its seed, what does best on the held-out half is kept, and a kill
# between the runs loses nothing: several.sh NASC
# shellcheck source=tests/cli/common
. cli/common
search=(search ../genotypes/spaces/darts.json --data synthetic:8x8x3/4/128 --method darts-1st --channels 4 --cells 3
    --set nodes=2 --set batch=16 --set epochs=1 --set steps=4 --set alpha_lr=0.1 --set select_epochs=2 --quiet)

must "$nasc" "${search[@]}" --runs 3 --seed 5 --json --out "$work/three"
[ "$(grep -o '"seed":[0-9]*' "$work/out" | tr '\n' ' ')" = '"seed":5 "seed":6 "seed":7 ' ] || say "seeds: $(cat "$work/out")"

# The first of the highest scores, as the command printed them.
best=$(grep -o '"held_out_accuracy":[0-9.e-]*' "$work/out" | cut -d: -f2 | awk '$1 > most || NR == 1 { most = $1; at = NR - 1 } END { print at }')
cmp -s "$work/three/genotype.json" "$work/three/run-$best/genotype.json" || say "run $best was not kept: $(cat "$work/out")"

must "$nasc" "${search[@]}" --seed 5 --out "$work/alone"
for file in checkpoint.safetensors log.jsonl genotype.json; do
    cmp -s "$work/three/run-0/$file" "$work/alone/$file" || say "$file of the first run is not that of its seed"
done

# As if killed when the last run had a log and no record yet, and the one before was still being judged.
cp -r "$work/three" "$work/cut"
rm -r "$work/cut/genotype.json" "$work/cut/run-2"/* "$work/cut/run-1/train/checkpoint.safetensors"
touch "$work/cut/run-2/log.jsonl"
must "$nasc" search --resume --out "$work/cut" --quiet
diff -r "$work/three" "$work/cut" >"$work/diff" || say "resumed: $(cat "$work/diff")"

# One of the runs, with the data that all had, goes on alone.
rm "$work/cut/run-2/checkpoint.safetensors" "$work/cut/run-2/genotype.json"
must "$nasc" search --resume --out "$work/cut/run-2" --quiet
cmp -s "$work/cut/run-2/genotype.json" "$work/three/run-2/genotype.json" || say "the last run alone differs"
exit $bad
