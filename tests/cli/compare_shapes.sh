#!/usr/bin/env bash
# tools/compare-shapes: small variants, no time asserted; what it refuses: compare_shapes.sh NASC
# shellcheck source=tests/cli/common
. cli/common
tool=../tools/compare-shapes
small=(--nasc "$nasc" --channels 4 --cells 1 --batch 1 --input 8x8x3 --rounds 1 --steps 1)

python3 "$tool" "${small[@]}" --only batch-3,ops --keep "$work/spaces" --json >"$work/out" 2>/dev/null ||
    say "compare-shapes: exit $?"
python3 - "$work" <<'END' || say "not as it should be: $(cut -c1-600 "$work/out")"
import json, os, sys
rows = json.load(open(sys.argv[1] + "/out"))
assert len(rows) == 9 and rows[0]["name"] == "batch-3" and rows[1]["name"] == "sep_conv_3x3"
assert rows[1]["useful_share"] == rows[1]["counted_share"] == 1 and rows[1]["holds"] and rows[1]["least"] == 0.6
for r in rows[:2]:
    assert r["useful_gflops"] < r["counted_gflops"]
for r in rows: # of low maps taps beyond the edge are left out: less is done than said
    assert 0 < r["useful_gflops"] and 0 < r["counted_gflops"]
    assert r["holds"] == (min(r["useful_share"], r["counted_share"]) >= r["least"])
assert len(os.listdir(sys.argv[1] + "/spaces")) == 8
END
python3 "$tool" "${small[@]}" --only channels-13 >"$work/out" 2>"$work/err" && say "an unknown name is taken"
grep -q 'channels-13: no such name; there are channels-12, ' "$work/err" || say "said: $(cat "$work/err")"
exit $bad
