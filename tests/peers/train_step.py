"""Times one training step of a DARTS_V2 network in PyTorch: loss with the auxiliary head's, backward, clipping, SGD.
usage: train_step.py [--c 36] [--layers 20] [--batch 96] [--size 32] [--threads 2] [--layout nhwc|nchw] [--steps 3]
Prints one JSON line: seconds (minimum and all), peak resident MiB."""
import argparse, json, resource, time
import torch
import torch.nn.functional as F
import darts

a = argparse.ArgumentParser()
for name, default in (("c", 36), ("layers", 20), ("batch", 96), ("size", 32), ("threads", 2), ("steps", 3), ("channels", 3)):
    a.add_argument("--" + name, type=int, default=default)
a.add_argument("--layout", default="nhwc"); a.add_argument("--drop", type=float, default=0.2); a.add_argument("--auxiliary", type=float, default=0.4)
a = a.parse_args()
torch.set_num_threads(a.threads); torch.manual_seed(0)
net = darts.Fixed(darts.DARTS_V2, a.c, 10, a.layers, auxiliary=a.auxiliary > 0, channels=a.channels)
fmt = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
net = net.to(memory_format=fmt)
x, y = torch.randn(a.batch, a.channels, a.size, a.size).to(memory_format=fmt), torch.randint(0, 10, (a.batch,))
sgd = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
side = {}
if a.auxiliary > 0:
    net.cells[2 * a.layers // 3].register_forward_hook(lambda cell, given, result: side.update(x=result))


def one():
    sgd.zero_grad()
    loss = F.cross_entropy(net(x, a.drop), y)
    if a.auxiliary > 0:
        loss = loss + a.auxiliary * F.cross_entropy(net.auxiliary_head(side["x"]), y)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
    sgd.step()


start = time.time(); one(); warm = time.time() - start
times = []
for _ in range(a.steps):
    start = time.time(); one(); times.append(round(time.time() - start, 4))
print(json.dumps({"torch": torch.__version__, **vars(a), "warm_s": round(warm, 1), "min_s": min(times), "all_s": times,
                  "maxrss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
