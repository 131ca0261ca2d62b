/* Inside the driver's double: what its files share. */
#ifndef NASC_CUDA_DOUBLE_H
#define NASC_CUDA_DOUBLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))
enum {
    OK,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    NOT_READY = 600,
    LAUNCH_FAILED = 719
};
enum { PIECES_MAX = 64, GUARD = 256, PARAMETERS_MAX = 1024 };

typedef void grid(void **parameters, unsigned blocks, unsigned threads);
struct module {
    char *text;
    grid *grid; /* NULL until it is launched, or another is */
    int number;
    int pointers; /* of its parameters, or of its table; behind them stand so many numbers: */
    int numbers;
    bool table; /* they are one parameter */
    struct module *next;
};

struct piece {
    char *at;
    size_t bytes;
    bool pinned; /* the host's */
};

struct gpu {
    bool started, retained, entered, lost;
    int calls;
    int events, graphs, ready; /* that have not been given back */
    struct piece piece[PIECES_MAX];
    struct module *modules;
    struct stream *streams;
    int numbers;
};
extern struct gpu gpu;

/* A launch with its parameters' values. */
struct call {
    struct module *module;
    unsigned blocks, threads;
    uint64_t *table; /* pointers, then numbers */
};

/* The code with which this call fails; 0: it does not. A GPU that a launch has failed on stays lost. */
int fails(const char *function, int code);
/* What no program may do: says so and aborts. */
void wrong(const char *what);
/* NULL: it is not all in one. `pinned`: the host's memory. */
struct piece *piece_of(uint64_t at, size_t bytes, bool pinned);
/* False: the driver would refuse it. */
bool call_make(struct call *c, void *function, unsigned blocks, unsigned threads, void **parameters);
void call_run(const struct call *c);
void call_drop(struct call *c);
bool call_uses(const struct call *c, const struct piece *p);
/* Work that has been asked for and not been waited for uses it. */
bool streams_use(const struct piece *p);
void streams_forget(void); /* the GPU is lost */

/* Work of a library's double: what it runs, on its own copy of `what`, and the memory that it uses. */
enum { HOST_PIECES = 4 };
struct host {
    void (*run)(const void *what);
    void *what;
    int owners, count; /* count: pieces of memory */
    uint64_t at[HOST_PIECES];
    size_t bytes[HOST_PIECES];
};
void host_drop(struct host *h);
bool host_uses(const struct host *h, const struct piece *p);

/* cuda_graph.c: graphs that streams capture; h runs after all that is in g. */
void *graph_new(void);
void graph_add_host(void *g, struct host *h);

/* cuda_graph.c: what a launch of a graph is, and its running. */
struct launched;
void launched_run(struct launched *l);
void launched_drop(struct launched *l);
bool launched_uses(const struct launched *l, const struct piece *p);
int stream_add_launched(void *stream, struct launched *l);

#endif
