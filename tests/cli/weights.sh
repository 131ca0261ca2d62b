#!/usr/bin/env bash
# --weights: files with PyTorch's names, as published checkpoints have them, with "module." and num_batches_tracked; what
# does not fit is named, all of it: weights.sh NASC
# shellcheck source=tests/cli/common
. cli/common

cat >"$work/edit.py" <<'END_OF_PYTHON'
# FIXTURE TO [PREFIX [-NAME] [~NAME] [+NAME]…]: the parameters of a reference case as a checkpoint would hold them; a name left
# out, one of another shape, one too many.
import json, struct, sys
data = open(sys.argv[1], "rb").read()
length, = struct.unpack("<Q", data[:8])
header, body = json.loads(data[8:8 + length]), data[8 + length:]
prefix, edits = (sys.argv[3] if len(sys.argv) > 3 else ""), sys.argv[4:]
tensors = []
for name, t in header.items():
    if not name.startswith("param.") or name.startswith("param.alphas"):
        continue
    name = name[len("param."):]
    if "-" + name in edits:
        continue
    shape = t["shape"][::-1] if "~" + name in edits else t["shape"]
    tensors.append((name, t["dtype"], shape, body[slice(*t["data_offsets"])]))
    if name.endswith("running_var"):
        tensors.append((name.replace("running_var", "num_batches_tracked"), "I64", [], bytes(8)))
tensors += [(e[1:], "F32", [1], bytes(4)) for e in edits if e[0] == "+"]
out, at = {}, 0
for name, dtype, shape, bytes_of in tensors:
    out[prefix + name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(bytes_of)]}
    at += len(bytes_of)
text = json.dumps(out).encode()
with open(sys.argv[2], "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + b"".join(t[3] for t in tensors))
END_OF_PYTHON

edit() { must python3 "$work/edit.py" "fixtures/$1.safetensors" "$work/$2.safetensors" "${@:3}"; }
onnx() { "$nasc" export "$1" --weights "$work/$2.safetensors" "${@:3}" --no-normalise --to onnx --out "$work/$2.onnx" >"$work/out" 2>"$work/err"; }
# Equal but for the name of the weights' file, which stands in the first kilobyte: nodes and tensors come after it.
same_onnx() {
    local bytes
    bytes=$(($(stat -c %s "$work/$1.onnx") - 1024))
    cmp <(tail -c $bytes "$work/$1.onnx") <(tail -c $bytes "$work/$2.onnx")
}
darts="--channels 4 --cells 5"

# ---- with and without "module.": the same network; the auxiliary head is left over, and said to be
edit darts_fixed_cifar plain
edit darts_fixed_cifar module module.
for file in plain module; do
    # shellcheck disable=SC2086 # a list of options
    onnx ../genotypes/darts_v2.json $file $darts || say "$file: $(cat "$work/err")"
    grep -q '^left over: .*auxiliary_head\.' "$work/err" || say "$file: $(cat "$work/err")"
    if grep -v auxiliary_head "$work/err" | grep -q 'left over\|missing\|num_batches'; then say "$file: $(cat "$work/err")"; fi
done
same_onnx plain module || say "module. makes another network"

# ---- a checkpoint of PyTorch's through tools/pth-to-safetensors
python=${NASC_PYTHON:-python3}
cat >"$work/save.py" <<'END_OF_PYTHON'
import json, struct, sys, torch
data = open(sys.argv[1], "rb").read()
length, = struct.unpack("<Q", data[:8])
kinds = {"F64": torch.float64, "F32": torch.float32, "I64": torch.int64}
state = {name: torch.frombuffer(bytearray(data[8 + length:][slice(*t["data_offsets"])]), dtype=kinds[t["dtype"]]).reshape(t["shape"])
         for name, t in json.loads(data[8:8 + length]).items()}
torch.save({"epoch": 3, "state_dict": state}, sys.argv[2])
END_OF_PYTHON
if "$python" -c 'import torch' 2>/dev/null; then
    must "$python" "$work/save.py" "$work/module.safetensors" "$work/module.pth.tar"
    must "$python" ../tools/pth-to-safetensors "$work/module.pth.tar" "$work/pth.safetensors"
    # shellcheck disable=SC2086
    onnx ../genotypes/darts_v2.json pth $darts || say "pth: $(cat "$work/err")"
    same_onnx plain pth || say "pth.tar makes another network"
else
    echo "skipped, $python has no torch: tools/pth-to-safetensors"
fi

# ---- what does not fit
edit darts_fixed_cifar damaged "" -stem.0.weight ~classifier.weight +stem.9.weight
# shellcheck disable=SC2086
if onnx ../genotypes/darts_v2.json damaged $darts; then say "damaged weights are taken"; fi
grep -qx 'missing: stem.0.weight' "$work/err" || say "$(cat "$work/err")"
grep -qx 'another shape: classifier.weight is 64x10, expected 10x64' "$work/err" || say "$(cat "$work/err")"
grep -qx 'left over: stem.9.weight' "$work/err" || say "$(cat "$work/err")"
grep -q "^nasc: $work/damaged.safetensors: of the network's .* 1 are missing, 1 have another shape; [0-9]* are left over" "$work/err" ||
    say "$(cat "$work/err")"
exit $bad
