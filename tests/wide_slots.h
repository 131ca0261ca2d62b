/* Programs of the wide engines run by what holds float32: the runtime, its methods, and tests of them. Such a program
 * is given doubles for every slot that it uses, and what its kernels write there is taken back. The doubles are the
 * floats, so that nothing is lost on the way in; on the way out a result is rounded once. Within a run all is float64.
 * A program that includes this names device_execute in its NAME.wrap. */
#ifndef NASC_TEST_WIDE_SLOTS_H
#define NASC_TEST_WIDE_SLOTS_H

#include "loop/loop.h"
#include "runtime/device/device.h"

#include <stdlib.h>

typedef struct wide_slot {
    int64_t elements; /* that the program uses, for its largest batch */
    bool written;
    double *at;
} wide_slot;

bool __real_device_execute(device *v, const device_run *r, nasc_diag *d);
bool __wrap_device_execute(device *v, const device_run *r, nasc_diag *d);

static inline void wide_slots_measure(wide_slot *slots, const program *p)
{
    for (int i = 0; i < p->instances.count; i++) {
        const program_instance *in = &p->instances.at[i];
        for (int k = 0; k < in->args; k++) {
            const program_arg *arg = &p->args.at[in->first_arg + k];
            wide_slot *s = &slots[arg->slot];
            int64_t end = arg->offset + arg->elements;
            s->elements = end > s->elements ? end : s->elements;
            s->written |= p->kernels.at[in->kernel]->args.at[k].access & LOOP_OUT;
        }
    }
    slots[SLOT_NONE].elements = slots[SLOT_LABELS].elements = 0;
}

bool __wrap_device_execute(device *v, const device_run *r, nasc_diag *d)
{
    if (!r->code->wide)
        return __real_device_execute(v, r, d);
    wide_slot slots[SLOT_COUNT] = {0};
    device_run wide = *r;
    wide_slots_measure(slots, r->program);
    for (int s = 0; s < SLOT_COUNT; s++) {
        if (!slots[s].elements || !r->slot[s])
            continue;
        wide.slot[s] = slots[s].at = malloc((size_t)slots[s].elements * sizeof(double));
        for (int64_t i = 0; i < slots[s].elements; i++)
            slots[s].at[i] = ((const float *)r->slot[s])[i];
    }
    bool ok = __real_device_execute(v, &wide, d);
    for (int s = 0; s < SLOT_COUNT; s++) {
        for (int64_t i = 0; slots[s].at && slots[s].written && i < slots[s].elements; i++)
            ((float *)r->slot[s])[i] = (float)slots[s].at[i];
        free(slots[s].at);
    }
    return ok;
}

#endif
