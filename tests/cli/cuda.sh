#!/usr/bin/env bash
# --device cuda, on a GPU that is none: the doubles of CUDA's driver and compiler (doubles/) run the emitted text on the
# CPU. Searches end with the bits that the CPU's kernels give, and each fault is reported: cuda.sh NASC
. cli/common
. cli/doubles
# NASC_TEST_GPU=1: the GPU at hand stands for its double, and makes no faults to order.
[ -n "${NASC_TEST_GPU:-}" ] && doubles=

# Three steps an epoch: a step comes again with the same vectors after two, and is a graph then.
tiny=(--data synthetic:8x8x3/4/128 --channels 2 --set batch=16 --set epochs=2 --set steps=3 --quiet)
darts=(search "$spaces/darts.json" "${tiny[@]}" --cells 1)
if ! ldconfig -p 2>/dev/null | grep -q 'libcuda\.so\.1'; then
    refused '^nasc: CUDA: there is no driver of an NVIDIA GPU: ' "$nasc" "${darts[@]}" --device cuda --out "$work/none"
fi
if [ -z "${NASC_TEST_GPU:-}" ] && ! command -v c++ >/dev/null; then
    echo "skipped, searches on CUDA's doubles: there is no C++ compiler"
    exit $bad
fi

# What a CPU without fused multiply-adds computes has other bits.
if grep -qw fma /proc/cpuinfo; then
    must "$nasc" "${darts[@]}" --method darts-2nd --out "$work/cpu"
    must on_gpu "${darts[@]}" --method darts-2nd --out "$work/gpu"
    same cpu gpu
    paths=(search "$spaces/proxyless_small.json" "${tiny[@]}" --set auxiliary=0 --set held_out=0.5)
    must "$nasc" "${paths[@]}" --out "$work/cpu_paths"
    CUDA_DOUBLE_STREAMS=early must on_gpu "${paths[@]}" --out "$work/gpu_paths"
    same cpu_paths gpu_paths
else
    echo "skipped, the CPU's bits: it has no fused multiply-add"
fi

# A GPU newer than NVRTC gets text that its driver compiles.
CUDA_DOUBLE_CAPABILITY=120 must on_gpu bench step "$spaces/darts.json" --channels 2 --cells 1 --set input=8x8x3 --set batch=16 --set steps=1 \
    --steps 1 --profile --json
holds "$work/out" 'j["profile"]["kernels"] and all(k["s"] > 0 for k in j["profile"]["kernels"])'

if [ -n "${NASC_TEST_GPU:-}" ]; then
    exit $bad
fi

# Faults. What a checkpoint held before the GPU was lost it still holds.
export CUDA_DOUBLE CUDA_DOUBLE_CAPABILITY CUDA_DOUBLE_VERSION CUDA_DOUBLE_STREAMS
faults() { # FUNCTION:N PATTERN…: a search ends so where the Nth call of the function fails
    local call=$1 pattern=$2
    CUDA_DOUBLE=$call refused "^nasc: CUDA: $pattern" on_gpu "${darts[@]}" --out "$work/a"
}
faults none 'starting: the driver says: no CUDA-capable device'
CUDA_DOUBLE_VERSION=11040 faults '' 'the driver is one for CUDA 11\.4; 11\.6 or newer is needed'
CUDA_DOUBLE='' CUDA_DOUBLE_CAPABILITY=61 refused "compute capability is 6\.1; nasc makes code for sm_75 and newer" \
    on_gpu "${darts[@]}" --out "$work/a"
faults cuMemAlloc_v2:1 '[0-9.]+ MiB of memory, of which the GPU has 1024\.0 free .*: the driver says: out of memory \(2\)'
# Spills are said. They are in the cache with the code, which no other test makes for this GPU.
CUDA_DOUBLE_CAPABILITY=89 NVRTC_DOUBLE=spills faults cuMemAlloc_v2:1 '.*: out of memory'
grep -qE '^  [a-z_0-9]+: 12 bytes, with 255 registers of sm_89$' "$work/err" || say "no spills: $(cat "$work/err")"
faults cuMemHostAlloc:1 'memory that it reads by itself: the driver says: out of memory'
faults cuModuleLoadData:3 'loading a kernel: the driver says: out of memory'
faults cuLaunchKernel:9 '.*: the driver says: unspecified launch failure'
CUDA_DOUBLE='' code=2 refused '^nasc: --engine: is for the CPU' on_gpu "${darts[@]}" --engine jit --out "$work/a"
faults cuGraphInstantiateWithFlags:1 'making a graph ready: the driver says: out of memory'
CUDA_DOUBLE=cuEventSynchronize:5 refused '^nasc: CUDA: running [0-9]+ programs .*: the driver says: unspecified launch failure' \
    on_gpu "${darts[@]}" --method darts-2nd --out "$work/lost"
[ -s "$work/lost/checkpoint.safetensors" ] || say "the GPU was lost, and the checkpoint with it"
CUDA_DOUBLE='' must on_gpu search --resume --out "$work/lost" --quiet
[ ! -d "$work/gpu" ] || same gpu lost
exit $bad
