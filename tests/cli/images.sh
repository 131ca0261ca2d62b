#!/usr/bin/env bash
# Folders of images, from search to C: real ones (Fashion-MNIST, where its package is installed, half of them as JPEG), some of
# them damaged; the same bytes on one thread or two, killed and resumed; folders that are refused: images.sh NASC MAKE
# shellcheck source=tests/cli/common
. cli/common
make=$2
# Killed when it has written a checkpoint, and once more, then resumed to its end: killed RUN COMMAND…
killed() {
    local out=$work/$1 again='' pid
    shift
    for again in '' again; do
        touch "$work/before"
        if [ -z "$again" ]; then
            "$nasc" "$@" --out "$out" >"$work/out" 2>"$work/err" &
        else
            "$nasc" "$1" --resume --quiet --out "$out" >"$work/out" 2>"$work/err" &
        fi
        pid=$!
        while [ ! "$out/checkpoint.safetensors" -nt "$work/before" ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
        kill -KILL $pid 2>/dev/null
        wait $pid 2>/dev/null
        [ $? = 137 ] || say "$1 ended before it was killed"
    done
    must "$nasc" "$1" --resume --quiet --threads 1 --out "$out"
}

from=idx:/usr/share/datasets/fashion-mnist
[ -f "${from#idx:}/train-images-idx3-ubyte.gz" ] || from=synthetic:28x28x1/10/640
must "$make" "$from" 640 "$work/set"
set=$work/set
data=(--data "images:$set" --input 28x28x1)

search=(search diff/select.json "${data[@]}" --set batch=16 --set epochs=8 --set steps=12
    --set warmup_epochs=1 --set alpha_every=2 --checkpoint-steps 2 --quiet)
must "$nasc" "${search[@]}" --threads 2 --out "$work/two"
[ -s "$work/err" ] && say "two parts of good images: $(cat "$work/err")"
must "$nasc" "${search[@]}" --threads 1 --out "$work/one"
killed killed "${search[@]}"
same one two
same one killed
grep -q '"crop_area": 0.08' "$work/one/run.json" || say "a search on images has no resized crops"
must "$nasc" search diff/select.json "${data[@]}" --set batch=16 --set epochs=1 --set steps=2 --set warmup_epochs=0 \
    --set held_out=0.5 --set select_epochs=1 --runs 2 --quiet --out "$work/several"

# A run goes on with the images that it began with, wherever they lie, or not at all.
cp -r "$work/one" "$work/moved"
mv "$set" "$work/elsewhere"
sed -i "s|images:$set|images:$work/elsewhere|" "$work/moved/run.json"
must "$nasc" search --resume --quiet --out "$work/moved"
mv "$work/elsewhere" "$set"
one=$(find "$set/train" -name '*.png' | sort | head -n 1)
touch -r "$one" "$work/time"
touch -d '2001-02-03' "$one"
fails "^nasc: images:$set: its images are not those that the run began with" search --resume --out "$work/one"
touch -r "$work/time" "$one"
mv "$one" "${one%.png}-renamed.png"
fails 'its images are not those that the run began with' search --resume --out "$work/one"
mv "${one%.png}-renamed.png" "$one"
must "$nasc" search --resume --quiet --out "$work/one"

# Damaged images: named once, counted each epoch; the run is the same whenever and however often it is killed.
mapfile -t jpegs < <(find "$set/train" -name '*.jpg' | sort | head -n 2)
mapfile -t tests < <(find "$set/val" -name '*.png' | sort | head -n 1)
truncate -s 300 "${jpegs[0]}"
echo nonsense >"${jpegs[1]}"
truncate -s -9 "${tests[0]}"
train=(train "$work/one/genotype.json" "${data[@]}" --set batch=64 --set epochs=4 --checkpoint-steps 2 --quiet)
must "$nasc" "${train[@]}" --threads 2 --out "$work/train-two"
for file in "${jpegs[0]}: ends early" "${jpegs[1]}: is neither JPEG nor PNG" "${tests[0]}: ends early"; do
    [ "$(grep -cF "nasc: $file; left out" "$work/err")" = 1 ] || say "not said once: $file: $(cat "$work/err")"
done
[ "$(grep -c '"skipped": 2[,}]' "$work/train-two/log.jsonl")" = 4 ] || say "not counted: $(cat "$work/train-two/log.jsonl")"
[ "$(grep -c '"eval_skipped": 1[,}]' "$work/train-two/log.jsonl")" = 4 ] || say "not counted: $(cat "$work/train-two/log.jsonl")"
must "$nasc" "${train[@]}" --threads 1 --out "$work/train"
killed train-killed "${train[@]}"
same train train-two
same train train-killed
must "$nasc" eval "$work/train" --quiet
grep -q '^1 images cannot be read' "$work/out" || say "eval: $(cat "$work/out")"
must "$nasc" eval "$work/train" --json --quiet --engine interpreter
grep -q '"skipped":1' "$work/out" || say "eval --json: $(cat "$work/out")"
rm -rf "$set" # what is exported needs no data
must "$nasc" export "$work/train" --to c --target generic --name clothes --out "$work/c"
must gcc -std=c11 -ffp-contract=off -O1 "$work"/c/*.c -o "$work/clothes_test"
must "$work/clothes_test" "$work/c/clothes.bin"

# Without val/ or test/ a part is set aside, and that is said.
must "$make" synthetic:16x16x3/4/64 64 "$work/whole" png
short=(--input 16x16x3 --set batch=4 --set epochs=1 --set steps=2 --quiet)
must "$nasc" train "$work/one/genotype.json" --data "images:$work/whole/train" "${short[@]}" --out "$work/whole-run"
grep -q 'of its 64 images 8 are set aside for testing' "$work/err" || say "set aside: $(cat "$work/err")"

# What is refused, by name.
refused() { fails "$1" train "$work/one/genotype.json" --data "images:$work/whole" "${short[@]}" --out "$work/new"; }
mkdir "$work/whole/train/class-9"
refused "^nasc: $work/whole/train/class-9: holds no images"
rm -r "$work/whole/train/class-"[129]
mv "$work/whole/train/class-3" "$work/class-3"
refused "^nasc: $work/whole/train: holds the folder of one class \\(class-0\\)"
mv "$work/class-3" "$work/whole/train/class-3"
refused "^nasc: $work/whole/val/class-1: is of a class that the training images do not have"
rm -r "$work/whole/val/"*
refused "^nasc: $work/whole/val: holds no folders"
rm -r "$work/whole"
refused "^nasc: $work/whole: cannot be opened: No such file"
must "$make" synthetic:16x16x3/4/64 64 "$work/whole" png
if [ "$(id -u)" != 0 ]; then
    chmod 0 "$work/whole/val/class-2"
    refused "^nasc: $work/whole/val/class-2: cannot be opened: Permission denied"
fi
fails 'channels, the input asked for has 2' train "$work/one/genotype.json" --data "images:$work/whole" --input 16x16x2 --out "$work/new"
fails 'held_out: found 0.2, expected 0.5: darts-2nd' search ../genotypes/spaces/darts.json --data "images:$work/whole" "${short[@]}" \
    --set held_out=0.2 --out "$work/new"
[ ! -e "$work/new" ] || say "a run that was refused leaves $(find "$work/new")"
exit $bad
