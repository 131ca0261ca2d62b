#!/usr/bin/env python3
"""Calls an exported model from Python, by ctypes and nothing else; sizes are those that the header states.

    nasc export RUN --to c --weights-as file --name net --out net
    cc -std=c11 -O3 -ffp-contract=off -shared -fPIC net/net.c -o net/libnet.so
    examples/caller.py net <PIXELS        the input's height x width x channels bytes; prints a logit a line
"""
import ctypes
import mmap
import pathlib
import re
import sys


class Network:
    """The model in `folder`, whose name is the folder's: lib<NAME>.so, <NAME>.h and <NAME>.bin."""

    def __init__(self, folder):
        folder = pathlib.Path(folder).resolve()
        name = folder.name
        header = (folder / f"{name}.h").read_text()
        self.sizes = {key: int(value) for key, value in re.findall(rf"^#define {name}_(\w+) (\d+)\b", header, re.M)}
        library = ctypes.CDLL(str(folder / f"lib{name}.so"))
        self._run = getattr(library, f"{name}_run")

        # Private pages: ctypes wants writable memory, and nobody writes to it.
        with open(folder / f"{name}.bin", "rb") as file:
            self._weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        weights = (ctypes.c_char * len(self._weights)).from_buffer(self._weights)
        self._model = ctypes.c_void_p()  # the model is a struct of one pointer
        error = getattr(library, f"{name}_init")(ctypes.byref(self._model), weights, ctypes.c_size_t(len(weights)))
        if error:
            raise ValueError(f"{name}_init returns {error}")

        align = self.sizes["ARENA_ALIGN"]
        self._room = ctypes.create_string_buffer(self.sizes["ARENA_BYTES"] + align)
        start = ctypes.addressof(self._room)
        self._arena = ctypes.c_void_p((start + align - 1) // align * align)

    @property
    def pixels(self):
        return self.sizes["INPUT_H"] * self.sizes["INPUT_W"] * self.sizes["INPUT_C"]

    def __call__(self, image):
        """Logits of `image`: `pixels` numbers in [0, 1], channels last."""
        if len(image) != self.pixels:
            raise ValueError(f"found {len(image)} values, expected {self.pixels}")
        values, logits = (ctypes.c_float * self.pixels)(*image), (ctypes.c_float * self.sizes["CLASSES"])()
        error = self._run(ctypes.byref(self._model), values, logits, self._arena)
        if error:
            raise RuntimeError(f"run returns {error}")
        return list(logits)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: caller.py FOLDER <PIXELS")
    network = Network(sys.argv[1])
    for logit in network([level / 255 for level in sys.stdin.buffer.read()]):
        print(f"{logit:.9g}")
