/* The library of NVIDIA's driver: the functions of it that are used, as cuda.h declares them. It is opened when a GPU is
 * asked for; nasc is built without CUDA. */
#ifndef NASC_CUDA_DRIVER_H
#define NASC_CUDA_DRIVER_H

#include "base/base.h"

typedef uint64_t gpu_address;

/* CUDA_KERNEL_NODE_PARAMS, first version. */
typedef struct kernel_node {
    void *function;
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    void **parameters, **extra;
} kernel_node;

/* X(name, symbol, parameters): all return 0 for success. Symbols are those of the declarations that stand here: cuda.h
 * maps some names to later versions of the same function. */
#define DRIVER_CALLS(X)                                                                                                \
    X(version, "cuDriverGetVersion", (int *version))                                                                   \
    X(init, "cuInit", (unsigned flags))                                                                                \
    X(error_text, "cuGetErrorString", (int code, const char **words))                                                  \
    X(device_get, "cuDeviceGet", (int *device, int number))                                                            \
    X(attribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))                                      \
    X(retain, "cuDevicePrimaryCtxRetain", (void **context, int device))                                                \
    X(release, "cuDevicePrimaryCtxRelease_v2", (int device))                                                           \
    X(enter, "cuCtxSetCurrent", (void *context))                                                                       \
    X(memory_left, "cuMemGetInfo_v2", (size_t *left, size_t *all))                                                     \
    X(take, "cuMemAlloc_v2", (gpu_address * at, size_t bytes))                                                         \
    X(drop, "cuMemFree_v2", (gpu_address at))                                                                          \
    X(pin, "cuMemHostAlloc", (void **at, size_t bytes, unsigned flags))                                                \
    X(unpin, "cuMemFreeHost", (void *at))                                                                              \
    X(upload, "cuMemcpyHtoDAsync_v2", (gpu_address to, const void *from, size_t bytes, void *stream))                  \
    X(download, "cuMemcpyDtoHAsync_v2", (void *to, gpu_address from, size_t bytes, void *stream))                      \
    X(module_load, "cuModuleLoadData", (void **module, const void *image))                                             \
    X(module_drop, "cuModuleUnload", (void *module))                                                                   \
    X(function, "cuModuleGetFunction", (void **function, void *module, const char *name))                              \
    X(stream_create, "cuStreamCreate", (void **stream, unsigned flags))                                                \
    X(stream_drop, "cuStreamDestroy_v2", (void *stream))                                                               \
    X(stream_wait, "cuStreamSynchronize", (void *stream))                                                              \
    X(stream_after, "cuStreamWaitEvent", (void *stream, void *event, unsigned flags))                                  \
    X(event_create, "cuEventCreate", (void **event, unsigned flags))                                                   \
    X(event_drop, "cuEventDestroy_v2", (void *event))                                                                  \
    X(event_record, "cuEventRecord", (void *event, void *stream))                                                      \
    X(event_wait, "cuEventSynchronize", (void *event))                                                                 \
    X(event_elapsed, "cuEventElapsedTime", (float *milliseconds, void *start, void *end))                              \
    X(launch, "cuLaunchKernel",                                                                                        \
      (void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,          \
       unsigned block_z, unsigned shared_bytes, void *stream, void **parameters, void **extra))                        \
    X(graph_create, "cuGraphCreate", (void **graph, unsigned flags))                                                   \
    X(graph_drop, "cuGraphDestroy", (void *graph))                                                                     \
    X(graph_kernel, "cuGraphAddKernelNode",                                                                            \
      (void **node, void *graph, void *const *after, size_t count, const kernel_node *kernel))                         \
    X(graph_join, "cuGraphAddEmptyNode", (void **node, void *graph, void *const *after, size_t count))                 \
    X(graph_child, "cuGraphAddChildGraphNode",                                                                         \
      (void **node, void *graph, void *const *after, size_t count, void *child))                                       \
    X(capture_begin, "cuStreamBeginCapture_v2", (void *stream, int mode))                                              \
    X(capture_end, "cuStreamEndCapture", (void *stream, void **graph))                                                 \
    X(graph_ready, "cuGraphInstantiateWithFlags", (void **ready, void *graph, unsigned long long flags))               \
    X(graph_ready_drop, "cuGraphExecDestroy", (void *ready))                                                           \
    X(graph_switch, "cuGraphNodeSetEnabled", (void *ready, void *node, unsigned enabled))                              \
    X(graph_launch, "cuGraphLaunch", (void *ready, void *stream))

/* Constants of cuda.h. */
enum {
    CAPABILITY_MAJOR = 75, /* attributes */
    CAPABILITY_MINOR = 76,
    STREAM_APART = 1,   /* streams that do not wait for the default one */
    CAPTURE_THREAD = 1, /* this thread makes no calls meanwhile that cannot be captured */
    EVENT_UNTIMED = 2,  /* events that only order */
    DRIVER_OUT_OF_MEMORY = 2,
    DRIVER_OLDEST = 11060 /* CUDA 11.6: nodes of a graph can be switched */
};

typedef struct driver {
    void *library;
#define X(name, symbol, parameters) int(*name) parameters;
    DRIVER_CALLS(X)
#undef X
} driver;

/* False with a diagnostic: there is no driver, or it is too old. */
bool driver_open(driver *v, nasc_diag *d);
void driver_close(driver *v);
/* Whether `code`, which a call returned, says success; else what was being done, and what the driver calls it. */
bool driver_done(const driver *v, int code, const char *what, nasc_diag *d);

#endif
