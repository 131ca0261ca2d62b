"""Times one pass (forward + backward for weights and alphas) of the DARTS supernet in PyTorch.
usage: search_step.py [--c 16] [--layers 8] [--batch 64] [--size 32] [--threads 2] [--mode eager|compile] [--layout nhwc|nchw] [--steps 3] [--order 0|1|2] [--device cpu|cuda]
order 0: one pass. order 1: the pass for alphas on held-out data, then the pass for weights. order 2: unrolled.
Prints one JSON line: seconds (minimum and all), peak resident MiB, and of a GPU the peak of its memory."""
import argparse, json, resource, time
import torch
import torch.nn.functional as F
import darts

a = argparse.ArgumentParser()
for name, default in (("c", 16), ("layers", 8), ("batch", 64), ("size", 32), ("threads", 2), ("steps", 3), ("order", 0), ("channels", 3)):
    a.add_argument("--" + name, type=int, default=default)
a.add_argument("--mode", default="eager"); a.add_argument("--layout", default="nhwc"); a.add_argument("--device", default="cpu")
a = a.parse_args()
torch.set_num_threads(a.threads); torch.manual_seed(0)
net = darts.Supernet(a.c, 10, a.layers, channels=a.channels)
fmt = torch.channels_last if a.layout == "nhwc" else torch.contiguous_format
net = net.to(a.device).to(memory_format=fmt)
run = torch.compile(net) if a.mode == "compile" else net
data = [(torch.randn(a.batch, a.channels, a.size, a.size).to(a.device).to(memory_format=fmt), torch.randint(0, 10, (a.batch,)).to(a.device)) for _ in range(2)]
params = list(net.parameters())


def one():
    if a.order == 0:
        torch.autograd.grad(F.cross_entropy(run(data[0][0]), data[0][1]), params + net.alphas)
        return
    bufs = [torch.zeros_like(p) for p in params]
    darts.architect_grad(net, data[0], data[1], bufs, 0.025, 0.9, 3e-4, a.order == 2)
    torch.autograd.grad(F.cross_entropy(run(data[0][0]), data[0][1]), params)


def timed():
    start = time.time(); one()
    if a.device == "cuda":
        torch.cuda.synchronize()
    return time.time() - start


warm = timed()
times = []
for _ in range(a.steps):
    times.append(round(timed(), 4))
memory = {"device_mib": torch.cuda.max_memory_allocated() / 2**20} if a.device == "cuda" else {}
print(json.dumps({"torch": torch.__version__, **vars(a), "warm_s": round(warm, 1), "min_s": min(times), "all_s": times, **memory,
                  "maxrss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
