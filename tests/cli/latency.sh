#!/usr/bin/env bash
# nasc latency, with a compiler that compiles nothing and a command that makes up times, so that they are known: what a
# program takes is told by the bytes of its weights. Searches by the table; what is refused: latency.sh NASC
# shellcheck source=tests/cli/common
. cli/common
small=../genotypes/spaces/proxyless_small.json

cat >"$work/cc" <<'EOF'
while [ "$1" != -o ]; do shift; done
: >"$2"
EOF
cat >"$work/board" <<'EOF'
[ "$2" = --bench ] && [ "$3" -ge 3 ] || exit 9
bytes=$(sed -n 's/.*part_WEIGHTS_BYTES //p' "${1%/*}/part.h")
awk -v b="$bytes" 'BEGIN { printf "min_ms %.3f median_ms %.3f\n", (b - 64) / 200, (b - 64) / 100 }'
EOF
export CC="bash $work/cc" TMPDIR=$work/temporary
mkdir "$TMPDIR"
board=(--run "bash $work/board" --rounds 2 --quiet)
tiny=(--channels 4 --input 8x8x1 --classes 4)

# A network's weights are those of its parts, and so is its time here.
must "$nasc" latency $small "${tiny[@]}" "${board[@]}" --target generic --networks 8 -o "$work/table.json" --json
holds "$work/out" 'j["shapes"] == 38 and j["candidates"] == 67 and j["networks"]["count"] == 8'
holds "$work/out" 'j["networks"]["largest_error"] < 0.1 and j["networks"]["rank_correlation"] > 0.95'
holds "$work/out" 'j["predictor"]["held_out"] == 7 and j["predictor"]["median_error"] < 0.1'
holds "$work/table.json" 'j["format"] == 1 and j["space"] == "proxyless_small" and j["target"] == "generic" and "cpu" not in j'
holds "$work/table.json" 'len({s["shape"] for s in j["samples"]}) == 38 and not any(s["op"] == "Zero" for s in j["samples"])'
holds "$work/table.json" 'all(s["median_ms"] == 2 * s["min_ms"] and s["noise"] == 0 for s in j["samples"])'
cp "$work/table.json" "$work/first.json"
must "$nasc" latency $small "${tiny[@]}" "${board[@]}" --target generic --networks 8 -o "$work/table.json"
cmp -s "$work/first.json" "$work/table.json" || say 'two tables of the same times differ'
grep -qE '^8 networks by chance: .* rank correlation [01]' "$work/out" || say "text: $(cat "$work/out")"

# Half of the candidates; the predictor has the rest.
must "$nasc" latency $small "${tiny[@]}" "${board[@]}" --target generic --sample 60 --networks 8 -o "$work/half.json" --json
holds "$work/out" 'j["shapes"] == 24 and j["networks"]["median_error"] < 0.15'

# A cell space: candidates that several places share, skips that cost nothing.
must "$nasc" latency ../genotypes/spaces/proxyless_cells.json "${tiny[@]}" --cells 3 "${board[@]}" --target generic \
    --networks 3 -o "$work/cells.json" --json
holds "$work/out" 'j["networks"]["largest_error"] < 0.1 and j["least_ms"] < j["most_ms"]'
holds "$work/cells.json" 'all(s["in"] != s["out"] for s in j["samples"] if s["op"] == "skip_connect")'

# A real compiler and the processor's own time.
sed 's/"mix"/"select"/' search/planted.json >"$work/planted.json"
CC=cc must "$nasc" latency "$work/planted.json" --input 8x8x1 --classes 2 --stem cifar --rounds 2 --networks 2 --quiet -o "$work/real.json"
holds "$work/real.json" 'all(0 < s["min_ms"] <= s["median_ms"] and s["noise"] >= 0 for s in j["samples"] + j["networks"])'

# Another machine's code, through an emulator of it.
emulated() { # TARGET EMULATOR COMPILER
    must env CC="$3" "$nasc" latency "$work/planted.json" --input 8x8x1 --classes 2 --stem cifar --target "$1" --run "$2" \
        --rounds 1 --networks 2 --quiet -o "$work/emulated.json"
    holds "$work/emulated.json" "j['target'] == '$1' and j['run'] == '$2' and 'cpu' not in j"
    holds "$work/emulated.json" 'all(0 < s["min_ms"] <= s["median_ms"] for s in j["samples"] + j["networks"])'
}
if command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null; then
    emulated aarch64 qemu-aarch64 'aarch64-linux-gnu-gcc -static'
elif command -v "qemu-$(uname -m)" >/dev/null; then
    emulated generic "qemu-$(uname -m)" cc
else
    echo "skipped: an emulator (neither qemu-aarch64 with aarch64-linux-gnu-gcc nor qemu-$(uname -m) is installed)"
fi

# Searches; a run needs no table once it has begun.
data=(--data synthetic:8x8x1/4/320)
short=(--channels 4 --set batch=16 --set epochs=2 --set steps=4 --set warmup_epochs=0 --set alpha_every=2 --quiet)
by=(--cost latency --latency "$work/table.json")
must "$nasc" search $small "${data[@]}" "${short[@]}" "${by[@]}" --target-ms 250 --out "$work/near"
holds "$work/near/run.json" '245 <= j["result"]["cost"] <= 255'
must "$nasc" search $small "${data[@]}" "${short[@]}" "${by[@]}" --target-ms 300 --set cost_loss=mul#log --out "$work/run"
grep -qE '^[0-9]+\.[0-9]{4} predicted ms, target 300$' "$work/out" || say "search: $(cat "$work/out")"
holds "$work/run/run.json" 'j["targets"] == [300] and len(j["latency"]["candidates_ms"]) == 67'
holds "$work/run/run.json" 'j["latency"]["least_ms"] <= j["result"]["cost"] <= j["latency"]["most_ms"]'
python3 - "$work/run" <<'EOF' || say 'the cost is not that of the strongest candidates'
import json, sys
run = json.load(open(sys.argv[1] + "/run.json"))
alphas = json.loads(open(sys.argv[1] + "/log.jsonl").readlines()[-1])["alphas"]
rows = [row for of in alphas.values() for row in of]
ms, cost = iter(run["latency"]["candidates_ms"]), run["latency"]["fixed_ms"]
for row in rows:
    cost += [next(ms) for _ in row][row.index(max(row))]
sys.exit(next(ms, None) is not None or abs(cost - run["result"]["cost"]) > 1e-9 * cost)
EOF
cp "$work/run/run.json" "$work/before.json"
mv "$work/table.json" "$work/kept.json"
must "$nasc" search --resume --out "$work/run"
mv "$work/kept.json" "$work/table.json"
cmp -s "$work/before.json" "$work/run/run.json" || say 'resuming changed run.json'
must "$nasc" search $small "${data[@]}" "${short[@]}" "${by[@]}" --target-ms 300.5,400 --method proxyless-reinforce \
    --set alpha_samples=2 --runs 2 --set epochs=1 --set select_epochs=1 --out "$work/several"
grep -qE '^ +target +seed +predicted ms +held-out accuracy$' "$work/out" || say "several: $(cat "$work/out")"
[ "$(grep -cE '^ +(300.5|400) +[01] +[0-9]+\.[0-9]{4} +[0-9.]+ %' "$work/out")" = 4 ] || say "several: $(cat "$work/out")"
grep -q 'predicted milliseconds' "$work/several/pareto.svg" || say "pareto.svg does not say what the axis is"
# Another size: the predictor has all candidates.
must "$nasc" search $small --data synthetic:12x12x1/4/320 "${short[@]}" "${by[@]}" --target-ms 400 --set epochs=1 \
    --out "$work/other-size"

new=(--out "$work/new")
fails 'latency is of spaces whose candidates are selected' latency ../genotypes/spaces/darts.json
fails 'is a genotype, every choice is made' latency ../genotypes/darts_v1.json
fails_with 2 "there is no target 'x86-64-v9'" latency $small --target x86-64-v9
fails '--sample: leaves 11 of 36 candidates, expected at least 16' latency $small --sample 30
CC=false fails 'false: the C compiler failed: exit status 1' latency $small "${tiny[@]}" --quiet
CC=no-such-cc fails 'no-such-cc: cannot be run' latency $small "${tiny[@]}" --quiet
fails "echo: found '.*part_test --bench 3' \(exit 0\), expected 'min_ms X median_ms Y'" latency $small "${tiny[@]}" --run echo --quiet
fails "false: found 'exit status 1' \(exit 1\)" latency $small "${tiny[@]}" --run false --quiet
fails '/none/table.json' latency "$work/planted.json" --input 8x8x1 --classes 2 --stem cifar "${board[@]}" -o /dev/null/none/table.json
fails_with 2 '--cost: latency needs what nasc latency measured' search $small "${data[@]}" "${new[@]}" --cost latency --target-ms 9
fails_with 2 '--cost: latency needs a target: --target-ms' search $small "${data[@]}" "${new[@]}" "${by[@]}"
fails_with 2 '--latency: goes with --cost latency' search $small "${data[@]}" "${new[@]}" --latency "$work/table.json"
fails_with 2 '--target-ms: goes with --cost latency' search $small "${data[@]}" "${new[@]}" --cost macs --target-ms 9
fails_with 2 '--target-cost: goes with --cost macs or --cost params' search $small "${data[@]}" "${new[@]}" "${by[@]}" --target-cost 9
fails '--target-ms: 1.5 is below the [0-9.]+ predicted ms of the cheapest network of proxyless_small' search $small "${data[@]}" \
    "${short[@]}" "${new[@]}" "${by[@]}" --target-ms 1.5,2,300
fails 'was measured for proxyless_small \(36 samples\); for proxyless_cells it lacks max_pool_3x3 at 8x8x4 -> 8x8x4' search \
    ../genotypes/spaces/proxyless_cells.json "${data[@]}" "${short[@]}" --cells 3 "${new[@]}" "${by[@]}" --target-ms 900
echo '{"format": 2}' >"$work/bad.json"
by=(--cost latency --latency "$work/bad.json" --target-ms 900)
fails 'bad.json#/format: found format 2, expected 1: this file comes from a newer nasc' search $small "${data[@]}" "${short[@]}" \
    "${new[@]}" "${by[@]}"
bad_table() { # PATTERN CHANGE: of the table, in Python
    python3 - "$work/table.json" "$work/bad.json" "$2" <<'EOF'
import json, sys
table = json.load(open(sys.argv[1]))
first = table["samples"][0]
exec(sys.argv[3])
json.dump(table, open(sys.argv[2], "w"))
EOF
    fails "bad.json#/$1" search $small "${data[@]}" "${short[@]}" "${new[@]}" "${by[@]}"
}
bad_table 'format: found "1", expected 1, the version of the format' 'table["format"] = "1"'
bad_table 'space: found nothing, expected the name of a space' 'del table["space"]'
bad_table 'target: found 3, expected the name of a target' 'table["target"] = 3'
bad_table 'seed: found -1, expected an integer from 0' 'table["seed"] = -1'
bad_table 'samples: found nothing, expected a list of samples' 'del table["samples"]'
bad_table 'samples/0: found 7, expected an object' 'table["samples"][0] = 7'
bad_table 'samples/0/shape: found "xyz", expected 16 hexadecimal digits' 'first["shape"] = "xyz"'
bad_table 'samples/0/op: found null, expected the name of a candidate' 'first["op"] = None'
bad_table 'samples/0/in: found a list of 2, expected a list of 3 integers' 'del first["in"][0]'
bad_table 'samples/0/out/1: found "8", expected an integer from 0' 'first["out"][1] = "8"'
bad_table 'samples/0/kernel: found "3", expected an integer from 0' 'first["kernel"] = "3"'
bad_table 'samples/0/shortcut: found 1, expected true or false' 'first["shortcut"] = 1'
bad_table 'samples/0/macs: found 1.5, expected an integer from 0' 'first["macs"] = 1.5'
bad_table 'samples/0/median_ms: found "fast", expected a number of at least 0' 'first["median_ms"] = "fast"'
bad_table 'samples/0/median_ms: found -1, expected a number of at least 0' 'first["median_ms"] = -1'
echo '{' >"$work/bad.json"
fails 'bad.json:2:0: ' search $small "${data[@]}" "${short[@]}" "${new[@]}" "${by[@]}"
python3 - "$work/table.json" "$work/bad.json" <<'EOF'
import json, sys
table = json.load(open(sys.argv[1]))
table["samples"] = [s for s in table["samples"] if s["op"] != "7x7_MBConv6"]
json.dump(table, open(sys.argv[2], "w"))
EOF
fails 'it lacks 7x7_MBConv6 at 8x8x4 -> 4x4x6' search $small "${data[@]}" "${short[@]}" "${new[@]}" "${by[@]}"
[ -e "$work/new" ] && say 'a search that was refused left a folder'
bad_run() { # PATTERN CHANGE: of run.json's latencies, in Python
    python3 - "$work/before.json" "$work/run/run.json" "$2" <<'EOF'
import json, sys
run = json.load(open(sys.argv[1]))
latency = run["latency"]
exec(sys.argv[3])
json.dump(run, open(sys.argv[2], "w"))
EOF
    fails "run/run.json#/latency$1" search --resume --out "$work/run"
}
bad_run '/candidates_ms: found a list of 66, expected a list of 67 numbers, one a candidate of the space' 'del latency["candidates_ms"][0]'
bad_run '/candidates_ms/3: found "1", expected a number of at least 0' 'latency["candidates_ms"][3] = "1"'
bad_run '/fixed_ms: found -1, expected a number of at least 0' 'latency["fixed_ms"] = -1'
bad_run ': found nothing, expected an object' 'del run["latency"]'
[ -z "$(ls "$TMPDIR")" ] || say 'a temporary folder is left'
exit $bad
