/* The machines that code is made for, a row each, and which of them the host is. */
#include "target.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* clang-format off */
#define HAS(feature) "__builtin_cpu_supports(\"" feature "\")"
#define AND          " &&\n          "
#define HAS_V3       HAS("avx2") " && " HAS("fma")
#define HAS_V4       HAS_V3 AND HAS("avx512f") " && " HAS("avx512vl") AND HAS("avx512dq") " && " HAS("avx512bw")
/* clang-format on */

/* What rows have in common that differ in how they multiply bytes. LLVM's row of x86-64-v4 prefers 256 bits; our vectors are
 * as wide as we say. */
#define X86_64_V4                                                                                                      \
    .lanes = 16, .registers = 32, .fma = true, .l1_bytes = 32 << 10, .l2_bytes = 1024 << 10, .l3_bytes = 32 << 20,     \
    .triple = "x86_64-unknown-linux-gnu", .cpu = "x86-64-v4", .features = "-prefer-256-bit", .prelude = "SIMD_AVX512", \
    .same = "defined(__x86_64__)", .machine = "x86_64", .cc = "x86_64-linux-gnu-gcc -static"
#define AARCH64                                                                                                        \
    .lanes = 4, .registers = 32, .fma = true, .l1_bytes = 32 << 10, .l2_bytes = 512 << 10, .l3_bytes = 4 << 20,        \
    .triple = "aarch64-unknown-linux-gnu", .cpu = "generic", .features = "+neon", .prelude = "SIMD_NEON",              \
    .same = "defined(__aarch64__)", .machine = "aarch64", .cc = "aarch64-linux-gnu-gcc -static", .run = "qemu-aarch64"

const target target_table[] = {
    {
        .name = "generic",
        .lanes = 1,
        .registers = 16,
        .fma = false,
        .l1_bytes = 32 << 10,
        .l2_bytes = 256 << 10,
        .l3_bytes = 2 << 20,
        .same = "1", /* IEEE arithmetic as it stands in the text */
    },
    {
        .name = "x86-64-v3",
        .lanes = 8,
        .registers = 16,
        .fma = true,
        .l1_bytes = 32 << 10,
        .l2_bytes = 512 << 10,
        .l3_bytes = 16 << 20,
        .triple = "x86_64-unknown-linux-gnu",
        .cpu = "x86-64-v3",
        .features = "",
        .prelude = "SIMD_AVX2",
        .has = HAS_V3,
        .same = "defined(__x86_64__)",
        .machine = "x86_64",
        .cc = "x86_64-linux-gnu-gcc -static",
    },
    {
        .name = "x86-64-v4",
        X86_64_V4,
        .has = HAS_V4,
    },
    {
        .name = "x86-64-v4+vnni",
        X86_64_V4,
        .dot = "DOT_VNNI",
        .has = HAS_V4 AND HAS("avx512vnni"),
    },
    {
        .name = "aarch64",
        AARCH64,
    },
    {
        .name = "aarch64+dotprod",
        AARCH64,
        .dot = "DOT_NEON",
        .dot_signed = true,
    },
    {
        .name = "cortex-m", /* with a floating-point unit: M4F, M7, M33, M55, M85 */
        .lanes = 1,
        .registers = 32,
        .fma = true,
        .l1_bytes = 16 << 10,
        .l2_bytes = 64 << 10,
        .l3_bytes = 256 << 10,
        .place = ON_BOARD,
        .prelude = "ARM_FPU",
        .same = "1",
        .cc = "arm-none-eabi-gcc",
    },
    {
        .name = "wasm",
        .lanes = 4,
        .registers = 16,
        .fma = false, /* relaxed-simd has one, fused or not as the host likes */
        .l1_bytes = 32 << 10,
        .l2_bytes = 256 << 10,
        .l3_bytes = 2 << 20,
        .place = IN_WASM,
        .prelude = "SIMD_WASM",
        .same = "1",
        .cc = "clang --target=wasm32-wasi",
        .run = "node --no-warnings --experimental-wasi-unstable-preview1 run.mjs", /* the flag: before Node.js 20 */
    },
};
const int target_count = COUNT(target_table);

#define GPU(number)                                                                                                    \
    {.name = "sm_" #number, .lanes = 1, .registers = 255, .fma = true, .capability = number, .shared_bytes = 48 << 10}
const target target_gpus[] = {GPU(75), GPU(80), GPU(86), GPU(89), GPU(90), GPU(100)};
#undef GPU
const int target_gpu_count = COUNT(target_gpus);

static const target *find_row(const target *rows, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

const target *target_find(const char *name)
{
    return find_row(target_table, target_count, name);
}

const target *target_find_gpu(const char *name)
{
    return find_row(target_gpus, target_gpu_count, name);
}

/* A generation executes what was made for its own earlier members. */
bool target_gpu(int capability, target *to)
{
    const target *found = NULL;
    for (int i = 0; i < target_gpu_count; i++)
        if (target_gpus[i].capability <= capability)
            found = &target_gpus[i];
    if (!found)
        return false;
    *to = *found;
    if (found->capability / 10 != capability / 10)
        to->capability = capability;
    return true;
}

static const char *host_name(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
              __builtin_cpu_supports("bmi2");
    bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    return v4 ? "x86-64-v4" : v3 ? "x86-64-v3" : "generic";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "generic";
#endif
}

/* Bytes of the first data cache of a level, or `otherwise`. */
static int cache_bytes(hwloc_topology_t topology, int level, int otherwise)
{
    int depth = hwloc_get_cache_type_depth(topology, (unsigned)level, HWLOC_OBJ_CACHE_DATA);
    hwloc_obj_t cache = depth < 0 ? NULL : hwloc_get_obj_by_depth(topology, depth, 0);
    if (!cache || !cache->attr->cache.size || cache->attr->cache.size > INT32_MAX)
        return otherwise;
    return (int)cache->attr->cache.size;
}

static const char *cpu_says(hwloc_topology_t topology, const char *what)
{
    hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    return package ? hwloc_obj_get_info_by_name(package, what) : NULL;
}

/* A hash of what the machine says of its CPU. */
static uint64_t cpu_model(hwloc_topology_t topology)
{
    static const char *const about[] = {"CPUVendor", "CPUFamilyNumber", "CPUModelNumber", "CPUModel"};
    uint64_t hash = 0;
    for (size_t i = 0; i < COUNT(about); i++) {
        const char *info = cpu_says(topology, about[i]);
        if (info)
            hash = XXH3_64bits_withSeed(info, strlen(info), hash + i);
    }
    return hash;
}

static target host_of(const char *name)
{
    target host = *target_find(name);
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology))
        return host;
    if (!hwloc_topology_load(topology)) {
        host.l1_bytes = cache_bytes(topology, 1, host.l1_bytes);
        host.l2_bytes = cache_bytes(topology, 2, host.l2_bytes);
        host.l3_bytes = cache_bytes(topology, 3, host.l3_bytes);
        host.model = cpu_model(topology);
    }
    hwloc_topology_destroy(topology);
    return host;
}

target target_host(void)
{
    return host_of(host_name());
}

target target_host_integers(void)
{
#if defined(__x86_64__)
    if (!strcmp(host_name(), "x86-64-v4") && __builtin_cpu_supports("avx512vnni"))
        return host_of("x86-64-v4+vnni");
#endif
    return target_host();
}

void target_host_name(char *name, size_t size)
{
    hwloc_topology_t topology;
    name[0] = 0;
    if (hwloc_topology_init(&topology))
        return;
    const char *said = hwloc_topology_load(topology) ? NULL : cpu_says(topology, "CPUModel");
    snprintf(name, size, "%s", said ? said : "");
    hwloc_topology_destroy(topology);
}

const char *target_compiler(const target *t)
{
    const target *host = target_find(host_name());
    bool foreign = t->cc && (!host->cc || strcmp(host->cc, t->cc) != 0);
    return foreign ? t->cc : "cc";
}
