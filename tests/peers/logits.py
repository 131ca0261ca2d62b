"""The logits of exported C beside PyTorch's, for the published genotypes at their full size: random weights, the statistics
of a batch in the batch norms, one image.

    PYTHON tests/peers/logits.py [--nasc build/release/nasc] [--target native] [--within 1e-4] [GENOTYPE.json …]

PYTHON has torch. Each network goes to nasc as a file of weights (tools/pth-to-safetensors); NAME_test, compiled by make, has
to find the bits that nasc computed, and those are compared with PyTorch's in float32. Prints a line a network; exit 1 where
a logit is further off than --within, of the largest logit or of 1 where that is less. How far both are from PyTorch's in
float64 tells whose rounding it is."""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import torch

import darts
import proxyless

ROOT = pathlib.Path(__file__).resolve().parents[2]
PUBLISHED = ("darts_v1", "darts_v2", "pc_darts", "p_darts", "proxyless_mobile")


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--nasc", default=str(ROOT / "build/release/nasc"))
    a.add_argument("--target", default="native")
    a.add_argument("--within", type=float, default=1e-4)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("genotypes", nargs="*", default=[ROOT / f"genotypes/{name}.json" for name in PUBLISHED])
    return a.parse_args()


def cells_network(genotype):
    """DARTS's network for CIFAR: 36 channels, 20 cells."""
    gene = {}
    for kind in ("normal", "reduce"):
        nodes = genotype["cells"][kind]["nodes"]
        gene[kind] = [tuple(edge) for node in nodes for edge in node]
        gene[kind + "_concat"] = range(2, 2 + len(nodes))
    return darts.Fixed(gene, 36, 10, 20), (3, 32, 32), lambda name: name


def mobile_network():
    """Checkpoints of ProxylessNAS count the blocks that are left out; the model here does not have them."""
    plan = [(1, 3)] + [op for _, ops, _ in proxyless.MOBILE for op in ops]
    counted = [i for i, op in enumerate(plan) if op]

    def published(name):
        return re.sub(r"^blocks\.(\d+)\.", lambda m: f"blocks.{counted[int(m[1])]}.", name)

    return proxyless.mobile(), (3, 224, 224), published


def with_statistics(net, shape):
    """Every batch norm takes the statistics of one batch, as after training."""
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    net.train()
    with torch.no_grad():
        net(torch.rand(8, *shape))
    return net.eval()


def export(a, path, net, shape, published, folder):
    torch.save({"state_dict": {published(n): t for n, t in net.state_dict().items()}}, folder / "net.pth")
    weights = folder / "net.safetensors"
    subprocess.run([sys.executable, ROOT / "tools/pth-to-safetensors", folder / "net.pth", weights], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([a.nasc, "export", path, "--to", "c", "--target", a.target, "--weights", weights, "--no-normalise",
                    "--layout", "nchw", "--name", "net", "--input", "{1}x{2}x{0}".format(*shape), "--out", folder / "c",
                    "--quiet"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["make", "-s", "-C", folder / "c", "check"], check=True, stdout=subprocess.DEVNULL)


def stored(folder, table):
    """The numbers of a table in net_test.c."""
    text = re.search(rf"^static const .* {table}\[.*?\{{(.*?)\}};", (folder / "c/net_test.c").read_text(), re.S | re.M)[1]
    return [float(v) for v in re.sub(r"/\*.*?\*/", "", text).replace("f", "").split(",") if v.strip()]


def compare(a, path):
    genotype = json.loads(pathlib.Path(path).read_text())
    torch.manual_seed(a.seed)
    net, shape, published = cells_network(genotype) if "cells" in genotype else mobile_network()
    with_statistics(net, shape)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        export(a, path, net, shape, published, folder)
        image, ours = torch.tensor(stored(folder, "image")) / 255, torch.tensor(stored(folder, "expected"))
    with torch.inference_mode():
        theirs = net(image.reshape(1, *shape))[0]
        exact = net.double()(image.double().reshape(1, *shape))[0]
    scale = max(1.0, exact.abs().max().item())
    off, off_exact, their_off = ((x.double() - y).abs().max().item() / scale
                                 for x, y in ((ours, theirs), (ours, exact), (theirs, exact)))
    print(f"{genotype['genotype']:20} {len(ours)} logits, the largest {exact.abs().max():.3f}: off by {off:.2e}; "
          f"of PyTorch's in float64 by {off_exact:.2e}, where its own in float32 are by {their_off:.2e}", flush=True)
    return off <= a.within


if __name__ == "__main__":
    options = arguments()
    sys.exit(not all([compare(options, path) for path in options.genotypes]))
