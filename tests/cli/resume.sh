#!/usr/bin/env bash
# Never lost: a search killed at ten random moments, and resumed each time, ends in the bytes of one that ran through, on
# one thread or two; so do one that was interrupted and a training; and one with the ImageNet stem goes on and is
# exported. NASC_SEED repeats a run: resume.sh NASC
# shellcheck source=tests/cli/common
. cli/common
RANDOM=${NASC_SEED:=$(date +%s)}
echo "seed $NASC_SEED (NASC_SEED)"

# Stops and resumes a command until it was stopped COUNT times and ended, anew where it ended before: stopped LIKE COUNT
# SIGNAL COMMAND…. Moments are random, so far apart that a run or two see them all; each run that ends is compared with LIKE.
stopped() {
    local like=$1 count=$2 signal=$3 cut=0 ended=1 out=$work/$1-stopped pid status moment most
    most=$((3 * took / (count + 2) + 1))
    shift 3
    while [ $cut -lt "$count" ] || [ $ended = 0 ]; do
        if [ $ended = 0 ] && [ -f "$out/run.json" ]; then
            "$nasc" "$1" --resume --quiet --threads $((1 + cut % 2)) --out "$out" >"$work/out" 2>"$work/err" &
        else # begins, or was stopped before it had a record: the folder is as good as new
            [ $ended = 0 ] || rm -rf "$out"
            "$nasc" "$@" --out "$out" >"$work/out" 2>"$work/err" &
        fi
        pid=$! ended=0 moment=$(((RANDOM * 32768 + RANDOM) % most))
        if [ $cut -lt "$count" ]; then
            sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
            kill -s "$signal" $pid 2>/dev/null
        fi
        wait $pid 2>/dev/null
        status=$?
        case $status in
        130 | 137) cut=$((cut + 1)) ;;
        0) ended=1 && same "$like" "$like-stopped" ;;
        *) say "$* ended with $status: $(cat "$work/err")" && return ;;
        esac
    done
}
timed() { # COMMAND…: sets took, in milliseconds
    local start
    start=$(date +%s%3N)
    must "$@"
    took=$(($(date +%s%3N) - start))
}

search=(search ../genotypes/spaces/darts.json --data synthetic:8x8x3/4/128 --channels 4 --cells 3 --set nodes=2
    --set batch=16 --set epochs=20 --set steps=3 --checkpoint-steps 2 --quiet)
must "$nasc" "${search[@]}" --threads 2 --out "$work/two"
timed "$nasc" "${search[@]}" --threads 1 --out "$work/one" # from the cache, as what is stopped will be
same one two
stopped one 10 KILL "${search[@]}"

timed "$nasc" "${search[@]}" --method darts-reinforce --out "$work/rewards"
stopped rewards 2 INT "${search[@]}" --method darts-reinforce

train=(train "$work/one/genotype.json" --data synthetic:8x8x3/4/128 --channels 4 --cells 3 --set batch=24 --set epochs=8
    --checkpoint-steps 2 --quiet)
must "$nasc" "${train[@]}" --threads 2 --out "$work/train-two"
timed "$nasc" "${train[@]}" --threads 1 --out "$work/train"
same train train-two
stopped train 2 KILL "${train[@]}"

paths=(search ../genotypes/spaces/proxyless_small.json --data synthetic:8x8x1/4/320 --channels 4 --set batch=16
    --set epochs=4 --set steps=6 --set warmup_epochs=1 --set alpha_every=2 --checkpoint-steps 2 --quiet)
paths+=(--cost macs --target-cost 200000)
must "$nasc" "${paths[@]}" --threads 2 --out "$work/paths-two"
timed "$nasc" "${paths[@]}" --threads 1 --out "$work/paths"
same paths paths-two
stopped paths 2 KILL "${paths[@]}"

# The stem of three convolutions: an epoch, killed in the midst of it, goes on to the same end and is exported.
large=(train ../genotypes/darts_v2.json --stem imagenet --data synthetic:64x64x3/10/32 --channels 4 --cells 3
    --set batch=8 --set epochs=1 --checkpoint-steps 1 --quiet)
must "$nasc" "${large[@]}" --threads 2 --out "$work/large-two"
timed "$nasc" "${large[@]}" --threads 1 --out "$work/large"
same large large-two
stopped large 2 KILL "${large[@]}"
must "$nasc" export "$work/large-stopped" --to c --target generic --name large --out "$work/c"
must gcc -std=c11 -ffp-contract=off -O1 "$work"/c/*.c -o "$work/large_test"
must "$work/large_test" "$work/c/large.bin"
exit $bad
