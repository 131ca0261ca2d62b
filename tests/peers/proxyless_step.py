"""Times ProxylessNAS steps on the full supernet in PyTorch: a weight step on a sampled path, and the gate-gradient pass of two paths.
usage: proxyless_step.py [--batch 16] [--size 112] [--threads 2] [--steps 5] [--device cpu|cuda].
Prints one JSON line: seconds of both (minimum, mean, median), peak resident MiB, and of a GPU the peak of its memory."""
import argparse, json, random, resource, statistics, time
import torch
import torch.nn.functional as F
import proxyless

a = argparse.ArgumentParser()
for name, default in (("batch", 16), ("size", 112), ("threads", 2), ("steps", 5)):
    a.add_argument("--" + name, type=int, default=default)
a.add_argument("--device", default="cpu")
a = a.parse_args()
torch.set_num_threads(a.threads); torch.manual_seed(0); random.seed(0)
net = proxyless.supernet().to(a.device).to(memory_format=torch.channels_last)
gated = [b.mobile_inverted_conv for b in net.blocks if isinstance(b.mobile_inverted_conv, proxyless.Gated)]
x = torch.randn(a.batch, 3, a.size, a.size).to(a.device).to(memory_format=torch.channels_last)
y = torch.randint(0, 1000, (a.batch,)).to(a.device)
opt = torch.optim.SGD(net.parameters(), 0.025, 0.9, nesterov=True, weight_decay=4e-5)


def sample():
    return [random.sample(range(b.n), 2) for b in gated]


def weight_step():
    opt.zero_grad(set_to_none=True)
    F.cross_entropy(net(x, [s[0] for s in sample()]), y).backward()
    opt.step()


def alpha_pass():
    pairs = sample()
    proxyless.gate_grads(net, x, y, [p[0] for p in pairs], [[p[1]] for p in pairs])


def best(f):
    f(); f()
    out = []
    for _ in range(a.steps):
        s = time.perf_counter(); f()
        if a.device == "cuda":
            torch.cuda.synchronize()
        out.append(time.perf_counter() - s)
    return round(min(out), 4), round(sum(out) / len(out), 4), round(statistics.median(out), 4)


memory = lambda: {"device_mib": torch.cuda.max_memory_allocated() / 2**20} if a.device == "cuda" else {}
w = best(weight_step); al = best(alpha_pass)
print(json.dumps({"torch": torch.__version__, **vars(a), "weight_step_min_s": w[0], "weight_step_mean_s": w[1], "weight_step_median_s": w[2],
                  "alpha_min_s": al[0], "alpha_mean_s": al[1], "alpha_median_s": al[2], **memory(),
                  "maxrss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
