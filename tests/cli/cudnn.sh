#!/usr/bin/env bash
# --cudnn, on the doubles of CUDA's driver and compiler and of cuDNN (doubles/): a search whose dense convolutions go there
# ends where the CPU's does, up to rounding, and each fault is reported: cudnn.sh NASC
. cli/common
. cli/doubles
space=("$spaces/nasbench201.json" --channels 2 --cells 1)
search=(search "${space[@]}" --data synthetic:8x8x3/4/64 --set batch=8 --set epochs=1 --set steps=3 --quiet)

code=2 refused '^nasc: --cudnn: is for GPUs: it goes with --device cuda' "$nasc" "${search[@]}" --cudnn float32 --out "$work/a"
if ! command -v c++ >/dev/null; then
    echo "skipped, convolutions on cuDNN's double: there is no C++ compiler"
    exit $bad
fi
export CUDNN_DOUBLE CUDNN_DOUBLE_VERSION
CUDNN_DOUBLE_VERSION=90100 refused '^nasc: cuDNN: is of version 9\.1, expected 9\.8 or newer' \
    on_gpu "${search[@]}" --cudnn float32 --out "$work/a"
CUDNN_DOUBLE=cudnnCreate:1 refused '^nasc: cuDNN: opening the GPU: code 3000: the driver is too old' \
    on_gpu "${search[@]}" --cudnn float32 --out "$work/a"
if ! ldconfig -p 2>/dev/null | grep -q 'libcudnn\.so\.9'; then
    mkdir "$work/some"
    ln -s "$doubles"/libcuda.so.1 "$doubles"/libnvrtc.so.13 "$work/some"
    doubles=$work/some refused '^nasc: cuDNN: is not installed, or not where libraries are looked for' \
        on_gpu "${search[@]}" --cudnn float32 --out "$work/a"
fi

# Without a GPU, what would go there.
tiny=(dump golden/tiny.json --use both --target sm_90 --cudnn float32 --stage library)
LD_LIBRARY_PATH=$doubles must "$nasc" "${tiny[@]}"
[ -z "${NASC_UPDATE-}" ] || cp "$work/out" golden/tiny.library.txt
diff -u golden/tiny.library.txt "$work/out" >"$work/diff" || { head -40 "$work/diff"; bad=1; }
dump=("$nasc" dump "$spaces/darts.json" --channels 4 --cells 1 --input 8x8x3 --use weights --stage plan --cudnn float32)
LD_LIBRARY_PATH=$doubles must "${dump[@]}" --target sm_90
grep -qE '^  cudnn_conv "stem\.0": images\+0 arena\+[0-9]+ arena\+[0-9]+ arena\+[0-9]+$' "$work/out" || say "plan: no convolution of cuDNN's"
for kind in conv conv_dx conv_dw; do grep -q "^  cudnn_$kind " "$work/out" || say "plan: no cudnn_$kind"; done
code=2 refused '^nasc: --cudnn: is for GPUs: it goes with --target' "${dump[@]}"
refused '^nasc: --cudnn: knows what to tell cuDNN of sm_90 and sm_89 alone' "${dump[@]}" --target sm_80

step=(bench step "${space[@]}" --set input=8x8x3 --set batch=8 --set steps=1 --order 0 --steps 1 --cudnn float32)
must on_gpu "${step[@]}" --profile --json
holds "$work/out" 'sum(k["calls"] for k in j["profile"]["kernels"] if k["kernel"].startswith("cudnn_conv")) > 100'
CUDNN_DOUBLE=cudnnBackendExecute:9 refused '^nasc: cuDNN: running a convolution: code 5000: it fails as it was told to' \
    on_gpu "${step[@]}"

# What a run.json says of cuDNN holds for all of the run.
must on_gpu "${search[@]}" --cudnn float32 --out "$work/gpu"
holds "$work/gpu/run.json" 'j["cudnn"] == "float32"'
code=2 refused '^nasc: --resume: takes everything from run\.json' on_gpu search --resume --cudnn tf32 --out "$work/gpu"
code=2 refused '^nasc: --cudnn: is for GPUs' "$nasc" search --resume --out "$work/gpu"
sed -i 's/"cudnn": "float32"/"cudnn": "exact"/' "$work/gpu/run.json"
refused '^nasc: .*/gpu/run\.json#/cudnn: found "exact", expected "float32" or "tf32"' on_gpu search --resume --out "$work/gpu"
if grep -qw fma /proc/cpuinfo; then
    must "$nasc" "${search[@]}" --out "$work/cpu"
    tail -n 1 "$work/gpu/log.jsonl" >"$work/gpu.json"
    tail -n 1 "$work/cpu/log.jsonl" >"$work/cpu.json"
    holds "$work/gpu.json" "abs(j['held_out_loss'] - json.load(open('$work/cpu.json'))['held_out_loss']) < 1e-5"
fi
exit $bad
