# An ONNX file against the C that nasc exported of the same network: onnx.py FILE.onnx NAME_test.c
# Runs the file in ONNX Runtime on the stored image (and on that image twice) and compares with the stored logits.
import re
import sys

import numpy
import onnxruntime

LIMIT = 1e-4  # of logits; where all are below 1, of the largest
model, case = sys.argv[1:]
source = re.sub(r"/\*.*?\*/", "", open(case).read(), flags=re.S)


def values(name):
    body = re.search(r"\b%s\[\w+\] = \{(.*?)\};" % name, source, re.S).group(1)
    numbers = [v.strip().rstrip("f") for v in body.split(",") if v.strip()]
    return numpy.array([float.fromhex(v) if "x" in v else float(v) for v in numbers], numpy.float32)


session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
images, = session.get_inputs()
last = images.shape[-1] < 5
shape = images.shape[1:] if last else images.shape[2:] + images.shape[1:2]
x = values("image").reshape([1] + shape) / numpy.float32(255)
x = x if last else x.transpose(0, 3, 1, 2)
expected = values("expected")
limit = LIMIT * min(1, numpy.abs(expected).max())
for n in 1, 2:
    logits, = session.run(["logits"], {"images": numpy.repeat(x, n, 0)})
    worst = numpy.abs(logits - expected).max()
    assert logits.shape == (n, expected.size), logits.shape
    assert worst <= limit, "%s: off by %g, at most %g" % (model, worst, limit)
print("%s: off by %.1e, logits to %.1f" % (model, worst, numpy.abs(expected).max()))
