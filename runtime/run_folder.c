/* The RUN folder: creation, JSON files, the log. */
#include "runtime/run_folder.h"
#include "runtime/json_text.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

const char *run_file(const char *folder, const char *name, char to[RUN_PATH + 64])
{
    snprintf(to, RUN_PATH + 64, "%s/%s", folder, name);
    return to;
}

static bool set_path(run_folder *r, const char *path, nasc_diag *d)
{
    *r = (run_folder){.log = -1};
    int length = snprintf(r->path, sizeof r->path, "%s", path);
    if (length < 1 || (size_t)length >= sizeof r->path)
        return diag_fail(d, DIAG_INPUT, path, "a run's path has 1 to %d bytes", RUN_PATH - 1);
    return true;
}

static bool open_log(run_folder *r, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    r->log = open(run_file(r->path, "log.jsonl", file), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (r->log < 0)
        return diag_fail(d, DIAG_IO, file, "cannot be written: %s", strerror(errno));
    if (flock(r->log, LOCK_EX | LOCK_NB) < 0) {
        int error = errno;
        run_close(r);
        return diag_fail(d, DIAG_IO, file, "%s",
                         error == EWOULDBLOCK ? "another process works in this run" : strerror(error));
    }
    return true;
}

/* An empty log stands alone where a kill came before run.json. */
static bool holds(const char *path, const char *part)
{
    struct stat about;
    char file[RUN_PATH + 64];
    return stat(run_file(path, part, file), &about) == 0 && (about.st_size > 0 || strcmp(part, "log.jsonl") != 0);
}

/* Bytes of the path that name a folder which is there. */
static int there_already(const char *path)
{
    char part[RUN_PATH];
    struct stat about;
    strcpy(part, path);
    while (stat(part, &about) < 0) {
        char *slash = strrchr(part, '/');
        if (!slash)
            return 0;
        *slash = 0;
    }
    return (int)strlen(part);
}

bool run_create(run_folder *r, const char *path, nasc_diag *d)
{
    static const char *const parts[] = {"run.json", "log.jsonl", "checkpoint.safetensors"};
    if (!set_path(r, path, d))
        return false;
    for (size_t i = 0; i < COUNT(parts); i++)
        if (holds(path, parts[i]))
            return diag_fail(d, DIAG_INPUT, path,
                             "holds a run already (%s); continue it with --resume or choose another folder", parts[i]);
    r->kept = there_already(path);
    r->own = folder_make(path, d) && open_log(r, d);
    return r->own;
}

bool run_resume(run_folder *r, const char *path, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    if (!set_path(r, path, d))
        return false;
    if (access(run_file(path, "run.json", file), F_OK) < 0)
        return diag_fail(d, DIAG_INPUT, path, "holds no run to resume (run.json: %s)", strerror(errno));
    return open_log(r, d);
}

void run_close(run_folder *r)
{
    if (r->log >= 0)
        close(r->log);
    r->log = -1;
}

void run_give_up(run_folder *r)
{
    char file[RUN_PATH + 64];
    if (r->own && !holds(r->path, "checkpoint.safetensors") && !holds(r->path, "log.jsonl")) {
        unlink(run_file(r->path, "run.json", file));
        unlink(run_file(r->path, "log.jsonl", file));
        for (char *end = r->path + strlen(r->path); end && end - r->path > r->kept; end = strrchr(r->path, '/')) {
            *end = 0;
            rmdir(r->path);
        }
    }
    run_close(r);
}

bool run_log_sync(run_folder *r, nasc_diag *d)
{
    return fsync(r->log) == 0 || diag_fail(d, DIAG_IO, r->path, "log.jsonl cannot be written: %s", strerror(errno));
}

typedef struct line {
    const json_t *value;
    bool indent;
    text text; /* of the value, and a newline */
} line;

static bool print_line(void *user, arena *a, nasc_diag *d)
{
    (void)d;
    line *l = user;
    l->text = (text){.arena = a};
    json_print(&l->text, l->value, l->indent);
    text_bytes(&l->text, "\n", 1);
    return true;
}

json_t *run_number(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

bool run_write_json(const char *folder, const char *name, const json_t *value, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    arena a = {0};
    line l = {.value = value, .indent = true};
    bool ok =
        arena_guard(&a, print_line, &l, d) && file_replace(run_file(folder, name, file), l.text.at, l.text.length, d);
    arena_free(&a);
    return ok;
}

/* One write a line, so that only the last line can be torn. */
bool run_log_add(run_folder *r, const json_t *value, nasc_diag *d)
{
    arena a = {0};
    line l = {.value = value};
    bool ok = arena_guard(&a, print_line, &l, d);
    for (size_t done = 0; ok && done < l.text.length;) {
        ssize_t put = write(r->log, l.text.at + done, l.text.length - done);
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            ok = diag_fail(d, DIAG_IO, r->path, "log.jsonl cannot be written: %s", strerror(errno));
    }
    arena_free(&a);
    return ok;
}

/* Whether the checkpoint at (epoch, step) knows line `number`. A crash leaves lines that are no {…}; one that is and does
 * not parse is an error, lest a want of memory cut the log. */
static bool line_stands(const char *file, int number, const char *line, size_t length, int64_t epoch, int64_t step,
                        nasc_diag *d)
{
    if (length < 2 || line[0] != '{' || line[length - 1] != '}')
        return false;
    json_t *object = json_read(line, length, file, number, d);
    if (!object)
        return false;
    json_t *at_step = json_object_get(object, "step"), *at_epoch = json_object_get(object, "epoch");
    bool stands =
        (!at_step || json_integer_value(at_step) <= step) && (!at_epoch || json_integer_value(at_epoch) <= epoch);
    json_decref(object);
    return stands;
}

bool run_log_cut(run_folder *r, int64_t epoch, int64_t step, nasc_diag *d)
{
    char file[RUN_PATH + 64];
    arena a = {0};
    size_t size, keep = 0;
    const char *bytes = file_read(&a, run_file(r->path, "log.jsonl", file), &size, d);
    for (int number = 1; bytes && keep < size; number++) {
        const char *end = memchr(bytes + keep, '\n', size - keep);
        if (!end || !line_stands(file, number, bytes + keep, (size_t)(end - bytes) - keep, epoch, step, d))
            break;
        keep = (size_t)(end - bytes) + 1;
    }
    arena_free(&a);
    if (!bytes || d->kind != DIAG_NONE)
        return false;
    if (keep < size && (ftruncate(r->log, (off_t)keep) < 0 || fsync(r->log) < 0))
        return diag_fail(d, DIAG_IO, file, "cannot be cut: %s", strerror(errno));
    return true;
}
