/* Inside devices: what a kind of them does, and what all kinds know of a run. */
#ifndef NASC_DEVICE_KIND_H
#define NASC_DEVICE_KIND_H

#include "device.h"

typedef struct device_kind {
    void (*close)(device *v);
    bool (*prepare)(device *v, const program *p, const program_code *code, nasc_diag *d);
    bool (*execute)(device *v, const device_run *r, nasc_diag *d);
    /* NULL, all of them: the device has no memory of its own, and a run ends before `execute` returns. */
    void (*keep)(device *v, arena *a, float *at, int64_t elements);
    bool (*fetch)(device *v, const void *at, nasc_diag *d); /* NULL: all vectors */
    void (*changed)(device *v, const void *at);
    bool (*submit)(device *v, nasc_diag *d);
    bool (*wait)(device *v, nasc_diag *d);
    int64_t (*bytes)(const device *v);
} device_kind;

/* A kind's own device begins with this. */
struct device {
    const device_kind *kind;
};

/* Whether this run needs a launch; how many units an instance has for n images. */
bool device_runs(const device_run *r, const program_launch *l);
int64_t device_units(const program_instance *i, int n);

#endif
