#!/usr/bin/env bash
# What nasc reads back of its own files: settings of --config, run.json, the log; each mistake is told with its place:
# record.sh NASC
# shellcheck source=tests/cli/common
. cli/common
data=(--data synthetic:8x8x3/4/64)
tiny=(--channels 4 --cells 3 --set nodes=1 --set batch=16 --set epochs=1 --set steps=1 --quiet)
search=(search ../genotypes/spaces/darts.json "${data[@]}" --method darts-1st)
train=(train "$work/run/genotype.json" "${data[@]}" --quiet)
must "$nasc" "${search[@]}" "${tiny[@]}" --set lr=0.03125 --out "$work/run"
must "$nasc" "${train[@]}" --channels 4 --cells 3 --set batch=16 --set epochs=1 --set steps=1 --set auxiliary=0 \
    --out "$work/trained"

# ---- --config: another run's settings; --set comes after it
must "$nasc" "${search[@]}" --config "$work/run/run.json" --quiet --out "$work/like"
same run like
must "$nasc" "${search[@]}" --config "$work/run/run.json" --set lr=0.0625 --quiet --out "$work/lr"
holds "$work/lr/run.json" 'j["settings"]["lr"] == 0.0625 and j["settings"]["channels"] == 4'
must "$nasc" "${train[@]}" --config "$work/trained/run.json" --out "$work/trained-like"
same trained trained-like

# edit FILE CHANGE: a copy of it in $work/bad, over `j` in Python
edit() {
    mkdir -p "$work/bad"
    python3 - "$1" "$work/bad/${1##*/}" "$2" <<'END'
import json, sys
j = json.load(open(sys.argv[1]))
exec(sys.argv[3])
json.dump(j, open(sys.argv[2], "w"))
END
}
config=(--config "$work/bad/run.json" --out "$work/new")
bad_config() { # PATTERN CHANGE
    edit "$work/run/run.json" "$2"
    fails "^nasc: $work/bad/run.json#$1" "${search[@]}" "${config[@]}"
}
bad_config '/settings: found nothing, expected an object' 'del j["settings"]'
bad_config '/settings/lr: lr: found "fast", expected a number' 'j["settings"]["lr"] = "fast"'
bad_config '/settings/lr: lr: found "\[1\]", expected a number' 'j["settings"]["lr"] = [1]'
bad_config '/settings/epoch: found the setting "epoch", did you mean "epochs"' 'j["settings"]["epoch"] = 3'
bad_config '/format: found format 2, expected 1: this file comes from a newer nasc' 'j["format"] = 2'
bad_config ': found an empty list, expected an object' 'j = []'
printf '{"format": 1,\n "settings": {"lr": 1, "lr": 2}}\n' >"$work/bad/run.json"
fails "^nasc: $work/bad/run.json:2:[0-9]+: duplicate object key" "${search[@]}" "${config[@]}"
fails "^nasc: $work/no.json: cannot be opened: No such file" "${search[@]}" --config "$work/no.json" --out "$work/new"
[ ! -e "$work/new" ] || say 'a search that was refused left a folder'

# ---- run.json
bad_run() { # PATTERN CHANGE
    edit "$work/run/run.json" "$2"
    fails "^nasc: $work/bad/run.json#/$1" search --resume --out "$work/bad"
}
bad_run 'format: found format 2, expected 1: this file comes from a newer nasc' 'j["format"] = 2'
bad_run 'command: found nothing, expected a command' 'del j["command"]'
bad_run 'command: found "train", expected "search"' 'j["command"] = "train"'
bad_run 'method: found "darts-3rd", expected a method that this nasc knows' 'j["method"] = "darts-3rd"'
bad_run 'method: found nothing, expected a method' 'del j["method"]'
bad_run 'data: found 3, expected KIND:PATH' 'j["data"] = 3'
bad_run 'files: found 3, expected a hash' 'j["files"] = 3'
bad_run 'seed: found "1", expected an integer from 0 to' 'j["seed"] = "1"'
bad_run 'seed: found -1, expected an integer from 0 to' 'j["seed"] = -1'
bad_run 'seed: found 1.5, expected an integer from 0 to' 'j["seed"] = 1.5'
bad_run 'data_seed: found -1, expected an integer from 0 to' 'j["data_seed"] = -1'
bad_run 'runs: found 0, expected an integer from 1 to 1000' 'j["runs"] = 0'
bad_run 'checkpoint_steps: found 4294967296, expected an integer from 1 to 1000000000' 'j["checkpoint_steps"] = 1 << 32'
bad_run 'cudnn: found "float64", expected "float32" or "tf32"' 'j["cudnn"] = "float64"'
bad_run 'cost: found 7, expected a cost' 'j["cost"] = 7'
bad_run 'targets: found nothing, expected a list of numbers' 'j["cost"] = "macs"'
bad_run 'settings/cells: cells: found "x", expected an integer' 'j["settings"]["cells"] = "x"'
edit "$work/run/run.json" 'del j["space"]["cells"]["normal"]["choice"]'
fails "^nasc: $work/bad/run.json, \"space\"#/cells/normal" search --resume --out "$work/bad"
printf '{"format": 1,\n}\n' >"$work/bad/run.json"
fails "^nasc: $work/bad/run.json:2:1: " search --resume --out "$work/bad"

# ---- what run.json says of a training's images
cp "$work/trained/checkpoint.safetensors" "$work/bad"
bad_images() { # PATTERN CHANGE
    edit "$work/trained/run.json" "$2"
    fails "^nasc: $work/bad/run.json#/images$1" export "$work/bad" --to c --target generic --name net --out "$work/new"
}
bad_images ': found 3, expected an object' 'j["images"] = 3'
bad_images '/mean/1: found "grey", expected a number$' 'j["images"]["mean"][1] = "grey"'
bad_images '/std: found a list of 2, expected a list of 3 numbers' 'del j["images"]["std"][0]'
bad_images '/classes: found a list of 1, expected a list of 4 names' 'j["images"]["classes"] = ["cat"]'
bad_images '/classes/0: found 1, expected the name of a class' 'j["images"]["classes"] = [1, 2, 3, 4]'
[ ! -e "$work/new" ] || say 'an export that was refused left a folder'

# ---- the checkpoint
cp "$work/run/run.json" "$work/run/log.jsonl" "$work/bad"
header() { # CHANGE PATTERN: over `header` and `data` in Python
    python3 - "$work/run/checkpoint.safetensors" "$work/bad/checkpoint.safetensors" "$1" "$2" <<'END'
import json, sys
file = open(sys.argv[1], "rb").read()
end = 8 + int.from_bytes(file[:8], "little")
header, data = json.loads(file[8:end]), file[end:]
exec(sys.argv[3])
text = json.dumps(header).encode()
open(sys.argv[2], "wb").write(len(text).to_bytes(8, "little") + text + data)
END
    fails "^nasc: $work/bad/checkpoint.safetensors: $2" search --resume --quiet --out "$work/bad"
}
header 'header["__metadata__"]["nasc"] = "2"' 'is not a checkpoint of this version of nasc'
header 'del header["__metadata__"]["nasc"]' 'is not a checkpoint of this version of nasc'
more='n = len(data); data += bytes(8); header["more"] = {"dtype": "F64", "shape": [1], "data_offsets": [n, n + 8]}'
header "$more" 'has 1 tensors of no use here: more'

# ---- the log's alphas
cp "$work/run/run.json" "$work/bad"
bad_alphas() { # PATTERN CHANGE
    edit "$work/run/log.jsonl" "$2"
    echo >>"$work/bad/log.jsonl"
    fails "^nasc: $work/bad/log.jsonl:1#/alphas$1" derive "$work/bad"
}
bad_alphas '/alphas_normal/1/2: found "much", expected a number$' 'j["alphas"]["alphas_normal"][1][2] = "much"'
bad_alphas '/alphas_normal/1/2: found null, expected a number$' 'j["alphas"]["alphas_normal"][1][2] = None'
bad_alphas '/alphas_normal/0: found a list of 7, expected a list of 8 numbers' 'del j["alphas"]["alphas_normal"][0][3]'
bad_alphas '/alphas_reduce: found a list of 1, expected a list of 2 rows of numbers' 'del j["alphas"]["alphas_reduce"][0]'
bad_alphas '/alphas_normal: found nothing, expected a list of 2 rows' 'del j["alphas"]["alphas_normal"]'
bad_alphas ': found nothing, expected an object' 'del j["alphas"]'
{ cat "$work/run/log.jsonl" && echo '{"epoch" 1}'; } >"$work/bad/log.jsonl"
fails "^nasc: $work/bad/log.jsonl:2:[0-9]+: " derive "$work/bad"
: >"$work/bad/log.jsonl"
fails "^nasc: $work/bad/log.jsonl: has no epoch yet" derive "$work/bad"
exit $bad
