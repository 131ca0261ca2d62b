// Calls an exported model, here one called `net` with its weights in an array, from C++: a class that owns the arena.
//
//     nasc export RUN --to c --weights-as array --name net --out net
//     cc -std=c11 -O3 -ffp-contract=off -c net/net.c net/net_weights.c
//     c++ -std=c++17 -O2 -Inet examples/caller.cpp net.o net_weights.o -o caller
//     ./caller <PIXELS        the input's height x width x channels bytes; prints a logit a line
#include "net.h"

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

class Network {
public:
    static constexpr std::size_t pixels = std::size_t{net_INPUT_H} * net_INPUT_W * net_INPUT_C;
    using Image = std::array<float, pixels>; // channels last, in [0, 1]
    using Logits = std::array<float, net_CLASSES>;

    Network() : arena(std::make_unique<Arena>())
    {
        if (net_init(&model, &net_weights, sizeof net_weights) != net_OK)
            throw std::runtime_error("net_init: this processor lacks what the model is compiled for");
    }

    // One call at a time: threads have a Network each, which share the weights.
    Logits operator()(const Image &image)
    {
        Logits logits;
        if (int error = net_run(&model, image.data(), logits.data(), arena->bytes); error != net_OK)
            throw std::runtime_error("net_run returns " + std::to_string(error));
        return logits;
    }

private:
    struct alignas(net_ARENA_ALIGN) Arena {
        unsigned char bytes[net_ARENA_BYTES];
    };
    net model;
    std::unique_ptr<Arena> arena;
};

int main()
{
    std::array<unsigned char, Network::pixels> grey;
    if (std::fread(grey.data(), 1, grey.size(), stdin) != grey.size()) {
        std::fprintf(stderr, "usage: caller <PIXELS (%zu bytes)\n", grey.size());
        return 2;
    }
    auto image = std::make_unique<Network::Image>();
    for (std::size_t i = 0; i < grey.size(); i++)
        (*image)[i] = static_cast<float>(grey[i]) / 255.0f;
    for (float logit : Network()(*image))
        std::printf("%.9g\n", static_cast<double>(logit));
}
