#!/usr/bin/env bash
# examples/: every program is built as it says, and gives what NAME_test holds of the network: examples.sh NASC PICTURE
# shellcheck source=tests/cli/common
. cli/common
. ./stored_case
picture=$2
flags="-std=c11 -O1 -ffp-contract=off -Wall -Wextra -Wpedantic -Wconversion -Werror"
options="--channels 4 --cells 3 --input 12x12x3 --quiet"

export_model() { # NAME OPTIONS…
    # shellcheck disable=SC2086 # a list of options
    must "$nasc" export ../genotypes/darts_v2.json --to c --target generic --name "$1" --out "$work/$1" $options "${@:2}"
}
compile() { # OUT SOURCES AND OPTIONS…
    # shellcheck disable=SC2086
    must gcc $flags -I"$work/net" -I"$work/quick" -I"$work/sure" "${@:2}" -o "$work/$1" -lm
}
logits_agree() { # WHAT: in $work/out, to the digits printed
    python3 -c 'import sys, struct
got, want = ([struct.pack("f", float(line)) for line in open(name)] for name in sys.argv[1:])
sys.exit(not got or got != want)' "$work/out" "$work/expected" || say "$1: $(cat "$work/out"), expected $(cat "$work/expected")"
}

export_model net --weights-as file
export_model quick --weights-as array --seed 3
export_model sure --weights-as array --seed 5
stored net image | bytes >"$work/image"
stored net expected >"$work/expected"
[ "$(wc -c <"$work/image")" = 432 ] && [ "$(wc -l <"$work/expected")" = 10 ] || say "the stored case was not read"

# ---- an image file: of the input's size, and larger ones, JPEG and PNG alike
compile classify_image ../examples/classify_image.c "$work/net/net.c" -ljpeg -lpng
must "$picture" 12 12 "$work/image.png" <"$work/image"
must "$work/classify_image" "$work/net/net.bin" "$work/image.png"
[ "$(wc -l <"$work/out")" = 5 ] && [ "$(head -1 "$work/out" | cut -d' ' -f1)" = "$(best <"$work/expected")" ] ||
    say "classify_image: $(cat "$work/out")"
# Blocks of 8 x 8 equal grey pixels, which JPEG keeps as they are.
awk 'BEGIN { for (y = 0; y < 40; y++) for (x = 0; x < 56; x++) { v = (int(y / 8) * 71 + int(x / 8) * 37) % 256; print v; print v; print v } }' |
    bytes >"$work/blocks"
for kind in png jpg; do
    must "$picture" 40 56 "$work/blocks.$kind" <"$work/blocks"
    must "$work/classify_image" "$work/net/net.bin" "$work/blocks.$kind"
    cp "$work/out" "$work/blocks.$kind.out"
done
cmp "$work/blocks.png.out" "$work/blocks.jpg.out" || say "JPEG and PNG of one picture differ"
head -c 100 "$work/image.png" >"$work/cut.png"
for wrong in "net.bin $work/cut.png" "net.bin $work/image" "net.h $work/image.png" "none.bin $work/image.png"; do
    # shellcheck disable=SC2086 # two words
    if "$work/classify_image" "$work/net/"$wrong >"$work/out" 2>"$work/err" || [ -s "$work/out" ] ||
        ! grep -q '^classify_image: ' "$work/err"; then
        say "classify_image $wrong: $(cat "$work/out" "$work/err")"
    fi
done

# ---- two models: each is asked in its turn, and answers as it does alone
compile two_models ../examples/two_models.c "$work"/quick/quick{,_weights}.c "$work"/sure/sure{,_weights}.c
for pair in "0 quick" "1 sure"; do
    name=${pair#* }
    stored "$name" image | bytes >"$work/theirs"
    must "$work/two_models" "${pair% *}" <"$work/theirs"
    grep -qxE "$(stored "$name" expected | best) 0\.[0-9]{4} $name" "$work/out" || say "two_models: $(cat "$work/out")"
done

# ---- C++ and Python
export_model net --weights-as array
for part in net net_weights; do compile $part.o -c "$work/net/$part.c"; done
must g++ -std=c++17 -O1 -Wall -Wextra -Wpedantic -Wconversion -Werror -I"$work/net" ../examples/caller.cpp "$work/net.o" \
    "$work/net_weights.o" -o "$work/caller"
must "$work/caller" <"$work/image"
logits_agree caller.cpp
export_model net --weights-as file
compile net/libnet.so -shared -fPIC "$work/net/net.c"
must ../examples/caller.py "$work/net" <"$work/image"
logits_agree caller.py
if ../examples/caller.py "$work/net" </dev/null 2>"$work/err" || ! grep -q 'found 0 values, expected 432' "$work/err"; then
    say "caller.py: $(cat "$work/err")"
fi

# ---- every example is named in the list
for file in ../examples/*; do
    name=${file##*/}
    [ "$name" = README.md ] || grep -qF "\`$name" ../examples/README.md || say "examples/README.md does not know $name"
done
exit $bad
