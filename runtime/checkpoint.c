/* Checkpoints. */
#include "runtime/checkpoint.h"

#include <string.h>
#include <unistd.h>

static const char file_name[] = "checkpoint.safetensors", sums_name[] = "state.sums";

bool checkpoint_exists(const char *folder)
{
    char path[RUN_PATH + 64];
    return access(run_file(folder, file_name, path), F_OK) == 0;
}

typedef struct place {
    const checkpoint *c;
    const char *folder;
} place;

static bool write_all(void *user, arena *a, nasc_diag *d)
{
    const place *p = user;
    const checkpoint *c = p->c;
    char path[RUN_PATH + 64];
    struct tensor *at = NEW_ARRAY(a, struct tensor, (int64_t)c->sets * c->parameters->count + 1);
    int count = 0;
    for (int i = 0; i < c->sets; i++)
        count += parameters_tensors(c->parameters, c->set[i].prefix, &c->set[i].values, at + count, a);
    at[count++] =
        (struct tensor){.name = sums_name, .dtype = TENSOR_F64, .rank = 1, .shape = {c->sum_count}, .data = c->sums};
    struct tensor_text metadata[CHECKPOINT_COUNTERS + 1] = {{"nasc", "1"}};
    for (int i = 0; i < c->counters; i++)
        metadata[i + 1] =
            (struct tensor_text){c->counter[i].name, arena_printf(a, "%lld", (long long)*c->counter[i].value)};
    return tensors_write(run_file(p->folder, file_name, path), at, count, metadata, c->counters + 1, d);
}

static bool read_all(void *user, arena *a, nasc_diag *d)
{
    const place *p = user;
    const checkpoint *c = p->c;
    char path[RUN_PATH + 64];
    struct tensors *set = tensors_read(a, run_file(p->folder, file_name, path), d);
    if (!set)
        return false;
    const char *format = tensors_text(set, "nasc");
    if (!format || strcmp(format, "1") != 0)
        return diag_fail(d, DIAG_INPUT, path, "is not a checkpoint of this version of nasc");
    for (int i = 0; i < c->counters; i++)
        if (!tensors_text_integer(set, c->counter[i].name, c->counter[i].value, d))
            return false;
    for (int i = 0; i < c->sets; i++)
        if (!parameters_read(c->parameters, c->set[i].prefix, set, &c->set[i].values, d))
            return false;
    if (!tensors_doubles(set, sums_name, c->sum_count, c->sums, d))
        return false;
    text names = {.arena = a};
    int unused = tensors_unused(set, &names);
    return !unused || diag_fail(d, DIAG_INPUT, path, "has %d tensors of no use here: %.200s", unused, names.at);
}

bool checkpoint_write(const checkpoint *c, const char *folder, nasc_diag *d)
{
    place p = {c, folder};
    return arena_within(write_all, &p, d);
}

bool checkpoint_read(const checkpoint *c, const char *folder, nasc_diag *d)
{
    place p = {c, folder};
    return arena_within(read_all, &p, d);
}
