"""Times a network in an engine for inference: one image, one thread, float32. What tools/compare-infer runs.

    infer.py onnxruntime|openvino|emx_onnx_cgen NET.onnx IMAGE --shape CxHxW [--runs 30]
    infer.py ncnn cifar|imagenet|mobile IMAGE --shape CxHxW [--runs 30]

emx_onnx_cgen is a generator of plain C, which gcc -O3 -march=native compiles. ncnn gets the network from PyTorch, with
other weights. IMAGE holds the input's bytes, channels last, each a value by 255. Prints a line of JSON: the engine with its
version, the shortest and the median time in milliseconds, how far the process grew by loading the network and running it
(KiB, its weights included), and the logits."""
import argparse
import contextlib
import ctypes
import importlib.metadata
import json
import multiprocessing
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("engine", choices=("onnxruntime", "openvino", "emx_onnx_cgen", "ncnn"))
    a.add_argument("network")
    a.add_argument("image")
    a.add_argument("--shape", required=True)
    a.add_argument("--runs", type=int, default=30)
    return a.parse_args()


def onnxruntime(path, x):
    import onnxruntime as engine
    before = held()
    options = engine.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = engine.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return "ONNX Runtime " + engine.__version__, before, lambda: session.run(None, {"images": x})[0]


def openvino(path, x):
    import openvino as engine
    before = held()
    model = engine.convert_model(path)
    model.reshape(list(x.shape))
    compiled = engine.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY",
                                                           "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return "OpenVINO " + engine.__version__.split("-")[0], before, lambda: request.infer([x])[0]


def elsewhere(work, *arguments):
    """In a process of its own, so that the memory which it takes is not the engine's."""
    with multiprocessing.Pool(1) as other:
        return other.apply(work, arguments)


def plain_c(path, folder):
    """Writes model.so and its weights. The generator works shapes out anew at every use unless the file has them, which takes
    hours, and descends from node to node. Returns how many logits there are."""
    import onnx
    from emx_onnx_cgen import cli
    model = onnx.load(path)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True), folder / "one.onnx")
    sys.setrecursionlimit(100000)
    with contextlib.redirect_stdout(sys.stderr):
        if cli.main(["compile", str(folder / "one.onnx"), str(folder / "model.c")]):
            raise RuntimeError("emx-onnx-cgen refuses the network")
    subprocess.run(["gcc", "-O3", "-march=native", "-shared", "-fPIC", "-o", folder / "model.so", folder / "model.c", "-lm"],
                   check=True)
    return model.graph.output[0].type.tensor_type.shape.dim[1].dim_value


def emx_onnx_cgen(path, x):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        logits = numpy.empty(elsewhere(plain_c, path, folder), numpy.float32)
        before = held()
        made = ctypes.CDLL(str(folder / "model.so"))
        if not made.model_load(str(folder / "model.bin").encode()):
            sys.exit("infer: the generated C does not load its weights")

    def run():
        made.model(x.ctypes, logits.ctypes)
        return logits

    return "emx-onnx-cgen " + importlib.metadata.version("emx-onnx-cgen"), before, run


def torch_network(name):
    import darts
    import proxyless
    made = {"cifar": lambda: darts.Fixed(darts.DARTS_V2, 36, 10, 20),
            "imagenet": lambda: darts.Fixed(darts.DARTS_V2, 48, 1000, 14, "imagenet"), "mobile": proxyless.mobile}
    return made[name]().eval()


def files_of_ncnn(name, x, folder):
    """By pnnx from the PyTorch network."""
    import pnnx
    import torch
    with contextlib.redirect_stdout(sys.stderr):
        pnnx.export(torch_network(name), f"{folder}/net.pt", torch.from_numpy(x), fp16=False)


def ncnn(name, x):
    import ncnn as engine
    net = engine.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:
        elsewhere(files_of_ncnn, name, x, folder)
        before = held()
        net.load_param(folder + "/net.ncnn.param")
        net.load_model(folder + "/net.ncnn.bin")
    image = engine.Mat(numpy.ascontiguousarray(x[0]))

    def run():
        extractor = net.create_extractor()
        extractor.input("in0", image)
        return numpy.array(extractor.extract("out0")[1])

    return "ncnn " + engine.__version__, before, run


def held():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    a = arguments()
    c, h, w = map(int, a.shape.split("x"))
    levels = numpy.fromfile(a.image, dtype=numpy.uint8).reshape(1, h, w, c).transpose(0, 3, 1, 2)
    name, before, run = globals()[a.engine](a.network, numpy.ascontiguousarray(levels.astype(numpy.float32) / 255))
    logits = numpy.asarray(run()).reshape(-1)
    took = []
    for _ in range(3 + a.runs):
        start = time.perf_counter()
        run()
        took.append(1e3 * (time.perf_counter() - start))
    took = took[3:]
    print(json.dumps({"engine": name, "min_ms": min(took), "median_ms": statistics.median(took),
                      "grown_kib": held() - before, "logits": logits.tolist()}))


if __name__ == "__main__":
    main()
