"""The logits of exported C beside PyTorch's, for published genotypes at their full size: PyTorch's initial weights, the
statistics of a batch of photographs in the batch norms, one more photograph.

    PYTHON tests/peers/logits.py [--nasc build/release/nasc] [--target native] [--within 1e-4] [GENOTYPE.json …]

PYTHON has torch. Photographs are those of an idx file, normalised, with a border where networks want 32 pixels, enlarged
where they want more. Each network goes to nasc as a file of weights (tools/pth-to-safetensors); the C is compiled, passes its own
test, and is called by examples/caller.py. Prints a line a network; exit 1 where a logit is further off PyTorch's in float32
than --within. How far both are from PyTorch's in float64 tells whose rounding it is."""
import argparse
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy
import torch

import darts
import proxyless

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))
from caller import Network  # noqa: E402
PUBLISHED = ("darts_v1", "darts_v2", "pc_darts", "gdas", "proxyless_mobile")
BATCH = {32: 96, 224: 16}  # by the side of an image


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--nasc", default=str(ROOT / "build/release/nasc"))
    a.add_argument("--target", default="native")
    a.add_argument("--within", type=float, default=1e-4)
    a.add_argument("--images", default="/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
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


def photographs(path):
    """The images of an idx file, n x 1 x h x w, of mean 0 and deviation 1."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        n, h, w = numpy.frombuffer(file.read(16), ">u4")[1:].tolist()
        levels = torch.from_numpy(numpy.frombuffer(file.read(), numpy.uint8).reshape(n, 1, h, w).copy()).float()
    return (levels - levels.mean()) / levels.std()


def some(images, count, shape):
    """So many of them by chance, as the network takes them."""
    c, side, _ = shape
    found = images[torch.randint(len(images), (count,))]
    border = side - images.shape[-1]
    if border > images.shape[-1]:
        found = torch.nn.functional.interpolate(found, size=(side, side), mode="bilinear", align_corners=False)
    else:
        found = torch.nn.functional.pad(found, [border // 2, border - border // 2] * 2, value=images.min().item())
    return found.expand(-1, c, -1, -1).contiguous()


def with_statistics(net, images, shape):
    """Every batch norm takes the statistics of one batch, as after training."""
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    net.train()
    with torch.no_grad():
        net(some(images, BATCH[shape[1]], shape))
    return net.eval()


def export(a, path, net, shape, published, folder):
    """The network as C: a folder that examples/caller.py knows what to do with."""
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    torch.save({"state_dict": {published(n): t for n, t in net.state_dict().items()}}, folder / "net.pth")
    weights, c = folder / "net.safetensors", folder / "net"
    subprocess.run([sys.executable, ROOT / "tools/pth-to-safetensors", folder / "net.pth", weights], **quiet)
    subprocess.run([a.nasc, "export", path, "--to", "c", "--target", a.target, "--weights", weights, "--no-normalise",
                    "--weights-as", "file", "--name", "net", "--input", "{1}x{2}x{0}".format(*shape), "--out", c, "--quiet"],
                   **quiet)
    subprocess.run(["make", "-s", "-C", c, "check"], **quiet)
    subprocess.run(["cc", "-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC", c / "net.c", "-o", c / "libnet.so"],
                   **quiet)
    return Network(c)


def compare(a, images, path):
    genotype = json.loads(pathlib.Path(path).read_text())
    torch.manual_seed(a.seed)
    net, shape, published = cells_network(genotype) if "cells" in genotype else mobile_network()
    with_statistics(net, images, shape)
    image = some(images, 1, shape)
    with tempfile.TemporaryDirectory() as name:
        run = export(a, path, net, shape, published, pathlib.Path(name))
        ours = torch.tensor(run(image[0].permute(1, 2, 0).flatten().tolist()), dtype=torch.float64)
    with torch.inference_mode():
        theirs = net(image)[0].double()
        exact = net.double()(image.double())[0]
    off, off_exact, their_off = ((x - y).abs().max().item() for x, y in ((ours, theirs), (ours, exact), (theirs, exact)))
    print(f"{genotype['genotype']:20} {len(ours)} logits, the largest {exact.abs().max():.3f}: off by {off:.2e}; "
          f"of PyTorch's in float64 by {off_exact:.2e}, where its own in float32 are by {their_off:.2e}", flush=True)
    return off <= a.within


if __name__ == "__main__":
    options = arguments()
    shown = photographs(options.images)
    sys.exit(not all([compare(options, shown, path) for path in options.genotypes]))
