#!/usr/bin/env bash
# Runs through the command: threads change no bit, an interrupt leaves a checkpoint, engines agree, and what cannot be done
# is refused with a place: run.sh NASC
# shellcheck source=tests/cli/common
. cli/common
space=$(dirname "$0")/../../genotypes/spaces/darts.json

search=(search "$space" --data synthetic:8x8x3/4/128 --channels 4 --cells 3 --set batch=16 --set epochs=2 --set steps=3
    --checkpoint-steps 2 --quiet)
must "$nasc" "${search[@]}" --method darts-2nd --threads 1 --out "$work/one"
must "$nasc" "${search[@]}" --method darts-2nd --threads 2 --out "$work/two"
same one two
[ "$(wc -l <"$work/one/log.jsonl")" = 2 ] || say "the log has not a line an epoch"

# An interrupt writes a checkpoint and says 130.
"$nasc" "${search[@]}" --method darts-2nd --set epochs=1000 --out "$work/interrupted" 2>/dev/null &
process=$!
while [ ! -f "$work/interrupted/checkpoint.safetensors" ] && kill -0 $process 2>/dev/null; do sleep 0.05; done
kill -INT $process
wait $process
[ $? = 130 ] || say "an interrupt did not end with exit code 130"

# Genotypes, training, evaluation.
must "$nasc" derive "$work/one" --epoch 2 -o "$work/derived.json"
cmp -s "$work/derived.json" "$work/one/genotype.json" || say "derive differs from what the search wrote"
must "$nasc" derive "$space" --random --seed 3 -o "$work/random.json"
train=(train "$work/derived.json" --data synthetic:8x8x3/4/128 --channels 4 --cells 3 --set batch=24 --set epochs=2
    --set auxiliary=0 --quiet)
must "$nasc" "${train[@]}" --threads 1 --out "$work/trained"
must "$nasc" "${train[@]}" --threads 2 --out "$work/trained2"
cmp -s "$work/trained/checkpoint.safetensors" "$work/trained2/checkpoint.safetensors" || say "threads change the training"
must "$nasc" eval "$work/trained" --quiet --json --predictions "$work/p1"
cp "$work/out" "$work/json1"
must "$nasc" eval "$work/trained" --quiet --json --engine interpreter --predictions "$work/p2"
cmp -s "$work/json1" "$work/out" && cmp -s "$work/p1" "$work/p2" || say "interpreter and machine code differ in eval"
must "$nasc" eval "$work/derived.json" --weights "$work/trained/checkpoint.safetensors" --data synthetic:8x8x3/4/128 \
    --channels 4 --cells 3 --quiet --predictions "$work/p3"
cmp -s "$work/p1" "$work/p3" || say "eval of a run and of its genotype differ"
must "$nasc" train "$work/random.json" --stem imagenet --data synthetic:64x64x3/10/32 --channels 4 --cells 5 --set batch=16 \
    --set epochs=1 --quiet --out "$work/imagenet"
grep -q 'auxiliary head does not fit' "$work/err" || say "an auxiliary head that does not fit was left out in silence"
must "$nasc" train --resume --quiet --out "$work/imagenet"
must "$nasc" "${search[@]}" --method darts-1st --runs 2 --set select_epochs=1 --set epochs=1 --out "$work/several"
grep -q held_out_accuracy "$work/several/run.json" || say "--runs left no result"

fails 'holds a run already' "${search[@]}" --out "$work/one"
fails_with 2 '^nasc: search: SPACE and --data are needed, or --resume' search --out "$work/x"
fails_with 2 '^nasc: search: SPACE and --data are needed, or --resume' search "$space" --out "$work/x"
fails_with 2 '^nasc: train: GENOTYPE and --data are needed, or --resume' train --data synthetic:8x8x3/4/128 --out "$work/x"
fails_with 2 'no other setting' search --resume --out "$work/one" --seed 2
fails 'run.json.*cannot be opened' search --resume --out "$work/nowhere"
fails 'run.json#/command: found "search", expected "train"' eval "$work/one"
fails 'is a genotype' search "$work/derived.json" --data synthetic:8x8x3/4/128 --out "$work/x"
fails 'is a space' train "$space" --data synthetic:8x8x3/4/128 --out "$work/x"
fails 'classes = 4, the settings say 7' "${search[@]}" --classes 7 --out "$work/x"
fails 'less than one batch' "${search[@]}" --set batch=128 --out "$work/x"
fails 'train: the loss is not a number after step [1-5],' "${train[@]}" --set lr=1000 --set weight_decay=1000 --out "$work/x"
[ ! -e "$work/x" ] || say "a run that was refused leaves $(find "$work/x")"
fails 'has no epoch 9' derive "$work/one" --epoch 9
exit $bad
