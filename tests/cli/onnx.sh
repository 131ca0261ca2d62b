#!/usr/bin/env bash
# nasc export --to onnx: what the file holds, read by nasc's own schema; its logits in ONNX Runtime, where python3 (or
# $NASC_PYTHON) has that, beside those of the exported C; what is refused: onnx.sh NASC READER
# shellcheck source=tests/cli/common
. cli/common
read_onnx=$2
python=${NASC_PYTHON:-python3}
small="--channels 4 --cells 3 --input 12x12x3"
runtime=yes
"$python" -c 'import numpy, onnxruntime' 2>/dev/null || { echo "skipped, $python has no onnxruntime: logits in ONNX Runtime"; runtime=; }

make_onnx() { # NAME GENOTYPE OPTIONS…: $work/NAME.onnx, its contents in $work/NAME.txt
    must "$nasc" export "${@:2}" --to onnx --out "$work/$1.onnx"
    grep -qE "^$work/$1.onnx: [0-9]+ nodes, $(stat -c %s "$work/$1.onnx") bytes\$" "$work/out" || say "sizes: $(cat "$work/out")"
    "$read_onnx" "$work/$1.onnx" >"$work/$1.txt" || say "$1: $(cat "$work/$1.txt")"
}
compare() { # NAME GENOTYPE OPTIONS…: with the C
    [ -n "$runtime" ] || return 0
    must "$nasc" export "${@:2}" --layout nhwc --to c --target generic --weights-as file --name "$1" --out "$work/$1"
    "$python" cli/onnx.py "$work/$1.onnx" "$work/$1/$1_test.c" || say "$1: logits"
}
has() { grep -qx -- "$2" "$work/$1.txt" || say "$1: no '$2' in $(grep -v '^tensor' "$work/$1.txt" | sort | uniq -c)"; } # NAME LINE
counts() { # NAME OPERATOR NUMBER
    [ "$(grep -cx "node $2" "$work/$1.txt")" = "$3" ] || say "$1: $(grep -cx "node $2" "$work/$1.txt") times $2, expected $3"
}

# ---- DARTS: names and shapes of PyTorch
# shellcheck disable=SC2086 # a list of options
make_onnx v2 ../genotypes/darts_v2.json $small --seed 5
has v2 "ir 8 opset 15"
has v2 "genotype  DARTS_V2, hash [0-9a-f]*"
has v2 "input images nx3x12x12"
has v2 "output logits nx10"
has v2 "tensor stem.0.weight 12x3x3x3"
has v2 "tensor cells.0._ops.0.op.1.weight 4x1x3x3"
has v2 "tensor stem.1.running_var 12"
has v2 "tensor classifier.weight 10x64"
counts v2 Gemm 1
counts v2 GlobalAveragePool 1
# a shift: cut on one side, padded on the other
grep -qx 'node Pad' "$work/v2.txt" || say "v2: no shift"
counts v2 Slice "$(grep -cx 'node Pad' "$work/v2.txt")"
counts v2 BatchNormalization "$(grep -c '^tensor .*\.running_mean' "$work/v2.txt")"
# shellcheck disable=SC2086
compare v2 ../genotypes/darts_v2.json $small --seed 5
# shellcheck disable=SC2086
must "$nasc" export ../genotypes/darts_v2.json $small --seed 5 --to onnx --out "$work/again.onnx"
cmp "$work/v2.onnx" "$work/again.onnx" || say "the same network makes another file"

# ---- every primitive; the input as C has it
make_onnx every cli/onnx.json
has every "input images nx3x13x11"
for row in Conv Gemm BatchNormalization Relu Clip HardSwish HardSigmoid Sigmoid Tanh MaxPool AveragePool GlobalAveragePool \
    Add Mul Concat Slice Pad Flatten Reshape Transpose Sub Div; do has every "node $row"; done
compare every cli/onnx.json
make_onnx last cli/onnx.json --layout nhwc --no-normalise
has last "input images nx13x11x3"
counts last Transpose 2
counts last Sub 0
compare last cli/onnx.json --no-normalise

# ---- others: no node for what adds nothing
must "$nasc" import '|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|' -o "$work/bench.json"
make_onnx bench "$work/bench.json" --channels 4 --cells 3 --input 12x12x3
counts bench Mul 0
compare bench "$work/bench.json" --channels 4 --cells 3 --input 12x12x3
make_onnx mobile ../genotypes/proxyless_mobile.json --input 32x32x3 --classes 10
counts mobile Clip "$(grep -c 'tensor .*\(first_conv\|feature_mix_layer\|bottleneck\|depth_conv\).*running_mean' "$work/mobile.txt")"
compare mobile ../genotypes/proxyless_mobile.json --input 32x32x3 --classes 10

# ---- what is refused
fails_with 2 "^nasc: --target: is for --to c" export cli/onnx.json --to onnx --out "$work/none.onnx" --target generic
fails_with 2 "^nasc: --weights-as: is for --to c" export cli/onnx.json --to onnx --out "$work/none.onnx" --weights-as file
fails "cannot be written" export cli/onnx.json --to onnx --out "$work/no/folder.onnx"
fails_with 2 "onnx" export cli/onnx.json --to onx --out "$work/none.onnx"
[ ! -e "$work/none.onnx" ] || say "a refused export left a file"
exit $bad
