#!/usr/bin/env bash
# tools/compare-shapes: small variants, no time asserted; what it refuses: compare_shapes.sh NASC
set -u
nasc=$1 bad=0 tool=../tools/compare-shapes
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
small=(--nasc "$nasc" --channels 4 --cells 1 --batch 1 --input 8x8x3 --rounds 1 --steps 1)

python3 "$tool" "${small[@]}" --only batch-3,ops --keep "$work/spaces" --json >"$work/out" 2>/dev/null ||
    { echo "compare-shapes: exit $?"; bad=1; }
python3 - "$work" <<'END' || { echo "not as it should be: $(cut -c1-600 "$work/out")"; bad=1; }
import json, os, sys
rows = json.load(open(sys.argv[1] + "/out"))
assert len(rows) == 9 and rows[0]["name"] == "batch-3" and rows[1]["name"] == "sep_conv_3x3"
assert rows[1]["useful_share"] == rows[1]["counted_share"] == 1 and rows[1]["holds"] and rows[1]["least"] == 0.6
for r in rows:
    assert 0 < r["useful_gflops"] < r["counted_gflops"]
    assert r["holds"] == (min(r["useful_share"], r["counted_share"]) >= r["least"])
assert len(os.listdir(sys.argv[1] + "/spaces")) == 8
END
python3 "$tool" "${small[@]}" --only channels-13 >"$work/out" 2>"$work/err" && { echo "an unknown name is taken"; bad=1; }
grep -q 'channels-13: no such name; there are channels-12, ' "$work/err" || { echo "said: $(cat "$work/err")"; bad=1; }
exit $bad
