#!/usr/bin/env bash
# nasc search with several targets: each target's search is the one it would be alone, costs are those of the networks
# found, the front is right and drawn, a kill loses nothing, and what is found goes all the way to C: pareto.sh NASC
# shellcheck source=tests/cli/common
. cli/common
small=../genotypes/spaces/proxyless_small.json
alike() { diff -r "$1" "$2" >"$work/diff" || say "$3: $(head -5 "$work/diff")"; }

data=(--data synthetic:8x8x1/4/320)
short=(--channels 4 --set batch=16 --set epochs=2 --set steps=6 --set warmup_epochs=0 --set alpha_every=1 --set alpha_lr=0.3
    --set cost_lambda=5 --set select_epochs=2 --quiet --cost macs)

# Lines of the table: target, cost, accuracy, and whether it says dominated.
must "$nasc" search $small "${data[@]}" "${short[@]}" --target-cost 60000,100000.5,150000 --out "$work/front"
cp "$work/out" "$work/table"
rows=$(awk '$1 + 0 > 0 && NF >= 4' "$work/table")
[ "$(echo "$rows" | awk '{ print $1 }' | tr '\n' ' ')" = "60000 100000.5 150000 " ] || say "targets: $(cat "$work/table")"
while read -r target cost _; do
    folder=$work/front/target-$target
    must "$nasc" derive "$folder" -o "$work/derived.json"
    alike "$work/derived.json" "$folder/genotype.json" "derive $target"
    must "$nasc" info "$folder/genotype.json" --channels 4 --input 8x8x1 --classes 4
    [ "$(awk '/^total/ { print $3 }' "$work/out")" = "$cost" ] || say "target $target: $cost multiply-adds, info says $(grep ^total "$work/out")"
    awk -v t="$target" -v c="$cost" 'BEGIN { exit !(c >= 0.98 * t && c <= 1.02 * t) }' || say "target $target ends at $cost"
done <<<"$rows"

front_right() { # TABLE COST ACCURACY: columns; exit 1 where a mark is wrong
    awk -v c="$2" -v a="$3" '$c + 0 > 0 { cost[++n] = $c; accuracy[n] = $a; marked[n] = /dominated/ }
        END { for (i = 1; i <= n; i++) { beaten = 0
                for (k = 1; k <= n; k++)
                    if (cost[k] <= cost[i] && accuracy[k] >= accuracy[i] && (cost[k] < cost[i] || accuracy[k] > accuracy[i])) beaten = 1
                if (beaten != marked[i]) exit 1 } }' "$1"
}
front_right "$work/table" 2 3 || say "the marks of: $(cat "$work/table")"
best=$(echo "$rows" | sort -k3,3nr -k2,2n | awk 'NR == 1 { print $1 }')
alike "$work/front/genotype.json" "$work/front/target-$best/genotype.json" "the most accurate is target $best"
[ "$(grep -c '<circle' "$work/front/pareto.svg")" = 3 ] || say "pareto.svg does not show three points"
[ "$(grep -c 'class="dominated"' "$work/front/pareto.svg")" = "$(grep -c dominated "$work/table")" ] || say "pareto.svg marks others"
grep -q 'multiply-adds in millions' "$work/front/pareto.svg" || say "pareto.svg does not say what the axis is"
grep -q '"target": 100000.5' "$work/front/run.json" || say "run.json has no result"

# A target alone.
must "$nasc" search $small "${data[@]}" "${short[@]}" --target-cost 100000.5 --out "$work/alone"
grep -qE '^[0-9]+ macs, target 100000.5$' "$work/out" || say "alone: $(cat "$work/out")"
for file in checkpoint.safetensors log.jsonl genotype.json; do
    alike "$work/alone/$file" "$work/front/target-100000.5/$file" "$file of the target alone"
done

# As if killed when the second target was being judged and the third had not begun.
cp -r "$work/front" "$work/cut"
rm -r "$work"/cut/{genotype.json,pareto.svg,target-150000,target-100000.5/train/checkpoint.safetensors}
must "$nasc" search --resume --out "$work/cut" --quiet
alike "$work/front" "$work/cut" "resumed"
must "$nasc" search --resume --out "$work/cut" --quiet --json
grep -q '"dominated":' "$work/out" || say "--json: $(cat "$work/out")"

# What was found is a genotype like any other.
must "$nasc" train "$work/front/target-60000/genotype.json" "${data[@]}" --channels 4 --set batch=16 --set epochs=1 --quiet --out "$work/train"
must "$nasc" eval "$work/train" "${data[@]}"
must "$nasc" export "$work/train" --to c --target generic --name found --out "$work/c"
must gcc -std=c11 -ffp-contract=off -O1 "$work"/c/*.c -o "$work/found_test"
must "$work/found_test" "$work/c/found.bin"

# By target and by seed; every point counts.
must "$nasc" search $small "${data[@]}" "${short[@]}" --set epochs=1 --set select_epochs=1 --target-cost 60000,150000 --runs 2 \
    --seed 3 --out "$work/both"
[ "$(awk '$1 + 0 > 0 && NF >= 5 { print $1 "/" $2 }' "$work/out" | tr '\n' ' ')" = "60000/3 60000/4 150000/3 150000/4 " ] ||
    say "targets and seeds: $(cat "$work/out")"
front_right "$work/out" 3 4 || say "the marks of: $(cat "$work/out")"
[ -f "$work/both/target-150000/run-1/train/log.jsonl" ] || say "target-150000/run-1 is missing"

# The largest network of the space has the most that a target can be above.
must "$nasc" derive $small --channels 4 --input 8x8x1 --largest -o "$work/largest.json"
[ "$(grep -c 7x7_MBConv6 "$work/largest.json")" -ge 3 ] || say "the largest: $(grep made "$work/largest.json")"

new=(--out "$work/new")
for targets in 0 -5 5,3 5,5 5,,6 5, ,5 many 7M 1e999 0x10 nan 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17; do
    fails_with 2 "--target-cost is '$targets', expected numbers above 0 that increase, at most 16" search $small "${data[@]}" \
        "${new[@]}" --cost macs --target-cost "$targets"
done
fails '--target-cost: 7 is below the [0-9]+ macs of the cheapest network of' search $small "${data[@]}" "${short[@]}" "${new[@]}" \
    --target-cost 7,60000
fails 'is a run of several searches: derive one of them, as .*/front/target-60000$' derive "$work/front"
fails_with 2 'takes everything from run.json' search --resume --out "$work/front" --target-cost 60000,70000
fails_with 2 '--random and --largest: give one' derive $small --random --largest
fails 'darts_v2.json: is a genotype: there is nothing left to choose' derive ../genotypes/darts_v2.json --random
fails 'mixes its candidates: --largest is for spaces that select' derive ../genotypes/spaces/darts.json --largest
sed -i 's/"cost": "macs"/"cost": "watts"/' "$work/alone/run.json"
fails 'alone/run.json#/cost: found "watts", expected a cost that this nasc knows' search --resume --out "$work/alone"
sed -i 's/"targets": \[.*/"targets": [5, 3],/' "$work/cut/run.json"
fails 'run.json#/targets/1: found 3, expected a number above 0 and above the one before it' search --resume --out "$work/cut"
sed -i 's/"targets": \[.*/"targets": [],/' "$work/cut/run.json"
fails 'run.json#/targets: found an empty list, expected a list of numbers' search --resume --out "$work/cut"
exit $bad
