#!/usr/bin/env bash
# nasc draw: what Graphviz is given, pictures, and files that cannot be written: draw.sh NASC
# shellcheck source=tests/cli/common
. cli/common
spaces=../genotypes/spaces

"$nasc" draw $spaces/darts.json >"$work/darts.dot" || bad=1
[ "$(grep -c 'label="1 of 8"' "$work/darts.dot")" = 28 ] || say "two DARTS cells have 14 edges each"
"$nasc" draw $spaces/darts.json --set nodes=2 -o "$work/small.dot" || bad=1
[ "$(grep -c 'label="1 of 8"' "$work/small.dot")" = 10 ] || say "two cells of 2 nodes have 5 edges each"

if command -v dot >/dev/null; then
    "$nasc" draw $spaces/nasbench201.json --out="$work/cell.svg" && grep -q '1 of 5' "$work/cell.svg" || bad=1
    "$nasc" draw $spaces/nasbench201.json -o"$work/cell.png" && [ "$(head -c 4 "$work/cell.png" | tail -c 3)" = PNG ] || bad=1
fi

export TMPDIR=$work/temporary
mkdir "$TMPDIR" "$work/failing" "$work/folder.svg"
printf '#!/bin/sh\necho "error: out of ink"\nexit 3\n' >"$work/failing/dot"
# shellcheck disable=SC2016 # it is dot's
printf '#!/bin/sh\nprintf picture >"$3"\n' >"$work/dot"
chmod +x "$work/failing/dot" "$work/dot"
cannot_draw() { # PATTERN FILE
    PATH=${search_path:-$PATH} "$nasc" draw $spaces/darts.json -o "$2" >"$work/out" 2>"$work/err"
    if [ $? != "${code:-1}" ] || ! grep -qE "$1" "$work/err"; then say "-o $2 said: $(cat "$work/err")"; fi
}
code=2 cannot_draw '^nasc: .*: expected a name that ends in .svg, .png or .dot' "$work/cell.pdf"
cannot_draw '^nasc: .*/no/cell.dot: cannot be written' "$work/no/cell.dot"
cannot_draw '^nasc: .*/no/cell.svg: ' "$work/no/cell.svg"
search_path=$work cannot_draw '^nasc: .*/folder.svg: cannot be written: Is a directory' "$work/folder.svg"
search_path=$work/failing cannot_draw '^nasc: .*/cell.svg: dot cannot draw it: error: out of ink' "$work/cell.svg"
search_path=$TMPDIR cannot_draw '^nasc: .*/cell.svg: dot, which draws it, cannot be run: .* .package graphviz' "$work/cell.svg"
TMPDIR=$work/none cannot_draw "^nasc: $work/none: cannot make a temporary folder" "$work/cell.svg"
[ -z "$(find "$work" -name '*.tmp')$(ls "$TMPDIR")" ] || say "temporary files are left"
exit $bad
