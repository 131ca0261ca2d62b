/* Writes a program as a folder of C that people can read: the frames of templates/c/ with kernels, launches and numbers
 * put in. Everything is text in memory first; then each file is replaced as a whole. */
#include "emit/export.h"
#include "emit/c_writer.h"
#include "templates.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADER_WORDS = 16,
    FORMAT = 1,
    ALIGN = 64, /* bytes, of the arena */
    DIGITS_BYTES = 1 << 20,
    CALL_BYTES = 80, /* of code, to call a kernel */
    WIDTH = 100      /* columns of tables of numbers */
};

typedef struct exporter {
    arena *a, *digits; /* digits: emptied now and then */
    const export_model *m;
    const char *folder;
    export_sizes *sizes;
    const char **kernel_name; /* of each kernel: its C function */
    int64_t image, border;    /* the arena: where the turned image begins; bytes on their way from and to floats */
    int64_t floats;           /* all of it */
    int64_t instructions;     /* of loop IR, as they stand in the C */
    uint32_t header[HEADER_WORDS];
    nasc_diag *d;
} exporter;

bool export_name_fits(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_')
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return strlen(name) <= 48;
}

/* ---- tables of numbers ------------------------------------------------------------------------------------------- */

/* Appends an item of a table, on a new line where this one is full. `line`: where the line began. */
static void table_add(text *out, size_t *line, const char *item)
{
    bool first = out->length == *line;
    if (!first && out->length - *line + strlen(item) + 1 > WIDTH) {
        text_add(out, "\n");
        *line = out->length;
        first = true;
    }
    text_add(out, "%s%s", first ? "    " : " ", item);
}

static const char *table_of_floats(const exporter *e, const float *at, int64_t count)
{
    text out = {.arena = e->a};
    size_t line = 0;
    for (int64_t i = 0; i < count; i++) {
        table_add(&out, &line, arena_printf(e->digits, "%s,", c_literal(e->digits, at[i], DT_F32)));
        if (e->digits->total >= DIGITS_BYTES)
            arena_free(e->digits);
    }
    text_add(&out, "\n");
    return out.at;
}

static const char *table_of_words(const exporter *e, const void *at, int64_t count)
{
    text out = {.arena = e->a};
    size_t line = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t word;
        char item[16];
        memcpy(&word, (const char *)at + 4 * i, sizeof word);
        if (word == INT32_MIN)
            snprintf(item, sizeof item, "INT32_MIN,");
        else
            snprintf(item, sizeof item, "%" PRId32 ",", word);
        table_add(&out, &line, item);
    }
    text_add(&out, "\n");
    return out.at;
}

static const char *table_of_bytes(const exporter *e, const unsigned char *at, int64_t count)
{
    text out = {.arena = e->a};
    size_t line = 0;
    for (int64_t i = 0; i < count; i++) {
        char item[8];
        snprintf(item, sizeof item, "%d,", at[i]);
        table_add(&out, &line, item);
    }
    text_add(&out, "\n");
    return out.at;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static uint64_t checksum(const float *at, int64_t count)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, &at[i], sizeof word);
        sum = (sum ^ word) * 0x100000001b3u;
    }
    return sum;
}

static bool is_of_bytes(const export_model *m)
{
    return m->in.scale > 0;
}

/* See the comment in templates/c/model.c. */
static bool make_header(exporter *e)
{
    const export_model *m = e->m;
    const float *floats = is_of_bytes(m) ? NULL : m->constants;
    for (int64_t i = 0; floats && i < m->constant_count; i++)
        if (!isfinite(floats[i]))
            return diag_fail(e->d, DIAG_INPUT, m->name, "a weight is not finite");
    if (m->constant_count > (1 << 29))
        return diag_fail(e->d, DIAG_INPUT, m->name, "has more weights than the format can count");
    uint64_t sum = checksum(m->constants, m->constants ? m->constant_count : 0);
    const uint32_t words[] = {0x6373616e,       0x0a737477,
                              FORMAT,           (uint32_t)m->constant_count,
                              (uint32_t)m->key, (uint32_t)(m->key >> 32),
                              (uint32_t)sum,    (uint32_t)(sum >> 32)};
    memcpy(e->header, words, sizeof words);
    return true;
}

static int64_t weights_bytes(const exporter *e)
{
    return 4 * (HEADER_WORDS + e->m->constant_count);
}

static bool write_weights_file(const exporter *e, const char *path)
{
    size_t bytes = (size_t)weights_bytes(e);
    char *all = arena_alloc(e->a, bytes);
    memcpy(all, e->header, sizeof e->header);
    memcpy(all + sizeof e->header, e->m->constants, bytes - sizeof e->header);
    return file_replace(path, all, bytes, e->d);
}

static const char *header_text(const exporter *e)
{
    text out = {.arena = e->a};
    for (int i = 0; i < HEADER_WORDS; i++)
        text_add(&out, "%s%s0x%" PRIx32, i ? "," : "", i == 8 ? "\n     " : i ? " " : "", e->header[i]);
    return out.at;
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

static bool write_kernels(exporter *e, text *out)
{
    const program *p = e->m->program;
    if (is_of_bytes(e->m))
        emit_c_integers(out, e->m->target);
    e->kernel_name = NEW_ARRAY(e->a, const char *, p->kernels.count + 1);
    for (int k = 0; k < p->kernels.count; k++)
        e->kernel_name[k] = arena_printf(e->a, "k%d_%s", k, p->kernels.at[k]->name);
    return emit_c_kernels(out, p->kernels.at, p->kernels.count, e->m->target, e->kernel_name, &e->instructions, e->d);
}

/* What gcc makes of an instruction of loop IR for x86-64 at -O2, on average: published networks, both schedules. */
static int64_t code_bytes(const exporter *e)
{
    const program *p = e->m->program;
    const int64_t bytes = e->m->target->lanes > 1 ? 9 : 10;
    return bytes * e->instructions + CALL_BYTES * p->instances.count;
}

/* ---- launches ---------------------------------------------------------------------------------------------------- */

static const char *place_text(const exporter *e, const program_arg *arg)
{
    const char *plus = arg->offset ? arena_printf(e->a, " + %" PRId64, arg->offset) : "";
    switch (arg->slot) {
    case SLOT_NONE:
        return arena_printf(e->a, "A(%" PRId64 ")", arg->offset);
    case SLOT_WEIGHTS:
        return arena_printf(e->a, "W(%" PRId64 ")", arg->offset);
    case SLOT_IMAGES:
        return arena_printf(e->a, "(void *)(%s%s)", e->m->channels_first ? "image" : "in", plus);
    case SLOT_LOGITS:
        return arena_printf(e->a, "out%s", plus);
    default:
        BUG("an exported program has no slot %d", (int)arg->slot);
    }
}

static void write_instance(const exporter *e, text *out, const program_instance *i)
{
    const program *p = e->m->program;
    text_add(out, "    {\n");
    size_t line = out->length;
    text_add(out, "        void *const buffer[] = {");
    for (int k = 0; k < i->args; k++) {
        const char *place = place_text(e, &p->args.at[i->first_arg + k]);
        if (out->length - line + strlen(place) + 4 > WIDTH) {
            text_add(out, "\n");
            line = out->length;
            text_add(out, "                               ");
        }
        text_add(out, "%s%s", place, k + 1 < i->args ? ", " : "};\n");
    }
    const kernel *k = p->kernels.at[i->kernel];
    const char *scratch = k->scratch.count ? arena_printf(e->a, "A(%" PRId64 ")", i->scratch) : "NULL";
    const char *name = e->kernel_name[i->kernel];
    int64_t bytes = loop_scratch_offset(k, k->scratch.count);
    if (e->m->parts > 1 && i->unit_tiles > 1)
        text_add(out, "        run_parts(%s, buffer, %d, %s, %" PRId64 ");\n    }\n", name, i->unit_tiles, scratch,
                 bytes);
    else
        text_add(out, "        %s(buffer, 1, 0, %d, %s);\n    }\n", name, i->unit_tiles, scratch);
}

static void write_run(const exporter *e, text *out)
{
    const program *p = e->m->program;
    const char *last = "";
    for (int l = 0; l < p->launches.count; l++) {
        const program_launch *launch = &p->launches.at[l];
        CHECK(launch->select < 0);
        for (int i = launch->first; i < launch->first + launch->count; i++) {
            const char *name = p->instances.at[i].name ? p->instances.at[i].name : "";
            if (strcmp(name, last) != 0)
                text_add(out, "    /* %s */\n", name);
            last = name;
            write_instance(e, out, &p->instances.at[i]);
        }
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int64_t aligned(int64_t elements)
{
    const int64_t step = ALIGN / 4;
    return (elements + step - 1) / step * step;
}

static void lay_out_arena(exporter *e)
{
    const export_model *m = e->m;
    e->image = aligned(m->program->single_elements);
    int64_t pixels = (int64_t)m->h * m->w * m->c, words = is_of_bytes(m) ? (pixels + 3) / 4 : pixels;
    e->border = e->image + (m->channels_first ? aligned(words) : 0);
    e->floats = e->border + (is_of_bytes(m) ? aligned((pixels + m->classes + 3) / 4) : 0);
    if (e->floats == 0)
        e->floats = ALIGN / 4;
}

static const char *number(const exporter *e, int64_t value)
{
    return arena_printf(e->a, "%" PRId64, value);
}

/* A fifth of the text of deep loops would be blanks. */
static void indent_by_tabs(text *t)
{
    size_t to = 0;
    bool leads = true;
    for (size_t from = 0; from < t->length;) {
        bool step = leads && strncmp(t->at + from, "    ", 4) == 0;
        leads = step || t->at[from] == '\n';
        t->at[to++] = step ? '\t' : t->at[from];
        from += step ? 4 : 1;
    }
    t->length = to;
    t->at[to] = '\0';
}

static bool write_text(const exporter *e, const char *path, const char *frame, const template_value *values, int count)
{
    text out = {.arena = e->a};
    template_fill(&out, frame, values, count);
    if (frame == template_c_model_c)
        indent_by_tabs(&out);
    return file_replace(path, out.at, out.length, e->d);
}

/* One row a file; `only`: with weights as an array, with constants or without, beside these where there is a board or a
 * host of WebAssembly, or in any case. */
static const struct frame {
    const char *suffix, *text;
    enum { ALWAYS, WITH_ARRAY, WITH_CASE, WITH_BOARD, WITH_WASM, TIMED } only;
    bool named; /* NAME goes before the suffix */
} frames[] = {
    {".h", template_c_model_h, ALWAYS, true},
    {".c", template_c_model_c, ALWAYS, true},
    {"_weights.c", template_c_weights_c, WITH_ARRAY, true},
    {"_test.c", template_c_test_c, WITH_CASE, true},
    {"_test.c", template_c_timed_c, TIMED, true},
    {"Makefile", template_c_Makefile, WITH_CASE, false},
    {"CMakeLists.txt", template_c_CMakeLists_txt, WITH_CASE, false},
    {"startup.c", template_c_board_startup_c, WITH_BOARD, false},
    {"board.ld", template_c_board_board_ld, WITH_BOARD, false},
    {"run.mjs", template_c_wasm_run_mjs, WITH_WASM, false},
};

static bool is_wanted(const export_model *m, const struct frame *f)
{
    bool timed = !m->constants;
    switch (f->only) {
    case ALWAYS:
        return true;
    case WITH_ARRAY:
        return !m->weights_as_file;
    case WITH_CASE:
        return !timed;
    case WITH_BOARD:
        return !timed && m->target->place == ON_BOARD;
    case WITH_WASM:
        return !timed && m->target->place == IN_WASM;
    default:
        return timed;
    }
}

static bool write_files(exporter *e, const char *folder, const template_value *values, int count)
{
    const export_model *m = e->m;
    for (size_t i = 0; i < COUNT(frames); i++) {
        const char *path = arena_printf(e->a, "%s/%s%s", folder, frames[i].named ? m->name : "", frames[i].suffix);
        if (is_wanted(m, &frames[i]) && !write_text(e, path, frames[i].text, values, count))
            return false;
    }
    return !m->weights_as_file || !m->constants ||
           write_weights_file(e, arena_printf(e->a, "%s/%s.bin", folder, m->name));
}

static const char *weights_table(const exporter *e)
{
    const export_model *m = e->m;
    return is_of_bytes(m) ? table_of_words(e, m->constants, m->constant_count)
                          : table_of_floats(e, m->constants, m->constant_count);
}

/* The loop that both test programs time runs with. */
static const char *bench_text(const exporter *e)
{
    const template_value values[] = {{"NAME", e->m->name}, {"TIMED", e->m->constants ? NULL : ""}};
    text out = {.arena = e->a};
    template_fill(&out, template_c_bench_c, values, COUNT(values));
    return out.at;
}

static bool export_all(exporter *e, const char *folder)
{
    const export_model *m = e->m;
    text kernels = {.arena = e->a}, run = {.arena = e->a}, prelude = {.arena = e->a};
    lay_out_arena(e);
    emit_c_prelude(&prelude, m->target);
    if (!make_header(e) || !write_kernels(e, &kernels))
        return false;
    write_run(e, &run);
    const char *given = "", *array = m->weights_as_file ? NULL : given, *file = m->weights_as_file ? given : NULL;
    const char *source = m->weights_as_file ? "" : arena_printf(e->a, " %s_weights.c", m->name);
    const char *object = m->weights_as_file ? "" : arena_printf(e->a, " %s_weights.o", m->name);
    const char *operand = file ? arena_printf(e->a, " ${CMAKE_CURRENT_SOURCE_DIR}/%s.bin", m->name) : "";
    const template_value values[] = {
        {"NAME", m->name},
        {"VERSION", NASC_VERSION},
        {"FACTS", m->facts},
        {"TARGET", m->target->name},
        {"H", number(e, m->h)},
        {"W", number(e, m->w)},
        {"C", number(e, m->c)},
        {"CLASSES", number(e, m->classes)},
        {"RANGE", m->normalises ? "in [0, 1]" : "as the network takes it"},
        {"ARENA_BYTES", number(e, 4 * e->floats)},
        {"ARENA_ALIGN", number(e, ALIGN)},
        {"WEIGHTS_BYTES", number(e, weights_bytes(e))},
        {"HEADER_WORDS", number(e, HEADER_WORDS)},
        {"CONSTANTS", number(e, m->constant_count)},
        {"STDINT", array || is_of_bytes(m) ? given : NULL},
        {"BYTES", is_of_bytes(m) ? given : NULL},
        {"PLAIN", is_of_bytes(m) ? NULL : given},
        {"ELEMENT", is_of_bytes(m) ? "int32_t" : "float"},
        {"PIXEL", is_of_bytes(m) ? "uint8_t" : "float"},
        {"IN_SCALE", c_literal(e->a, m->in.scale, DT_F32)},
        {"IN_INVERSE", c_literal(e->a, 1 / m->in.scale, DT_F32)},
        {"IN_ZERO", number(e, m->in.zero)},
        {"OUT_SCALE", c_literal(e->a, m->out.scale, DT_F32)},
        {"OUT_ZERO", number(e, m->out.zero)},
        {"GREY", is_of_bytes(m) && m->normalises ? given : NULL},
        {"BORDER", number(e, e->border)},
        {"MODEL", arena_printf(e->a, "0x%016" PRIx64, m->key)},
        {"ARRAY", array},
        {"FILE", file},
        {"NHWC", m->channels_first ? NULL : given},
        {"NCHW", m->channels_first ? given : NULL},
        {"PRELUDE", prelude.at},
        {"KERNELS", kernels.at},
        {"RUN", run.at},
        {"BENCH", bench_text(e)},
        {"CPU", m->target->has},
        {"OWN", is_of_bytes(m) ? "1" : m->target->same},
        {"MACHINE", m->target->machine},
        {"CC", m->target->cc},
        {"EMULATOR", m->target->run},
        {"SYSTEM", m->target->place == ON_BOARD ? NULL : given},
        {"BOARD", m->target->place == ON_BOARD ? given : NULL},
        {"ALIVE_BYTES", number(e, 4 * m->program->alive_elements)},
        {"IMAGE", number(e, e->image)},
        {"HEADER", header_text(e)},
        {"VALUES", array ? weights_table(e) : given},
        {"IMAGE_VALUES", m->image ? table_of_bytes(e, m->image, (int64_t)m->h * m->w * m->c) : given},
        {"EXPECTED", m->expected ? table_of_floats(e, m->expected, m->classes) : given},
        {"AROUND", m->around ? number(e, m->around) : NULL},
        {"PARTS", m->parts > 1 ? number(e, m->parts) : NULL},
        {"LEVEL", m->small ? "-Os" : "-O3"},
        {"BUILD_TYPE", m->small ? "MinSizeRel" : "Release"},
        {"WEIGHTS_SOURCE", source},
        {"WEIGHTS_OBJECT", object},
        {"WEIGHTS_OPERAND", operand},
    };
    return folder_make(folder, e->d) && write_files(e, folder, values, COUNT(values));
}

static bool export_within(void *user, arena *a, nasc_diag *d)
{
    exporter *e = user;
    e->a = a;
    e->d = d;
    e->digits->unwind = a->unwind;
    bool ok = export_all(e, e->folder);
    *e->sizes =
        (export_sizes){.arena_bytes = 4 * e->floats, .weights_bytes = weights_bytes(e), .code_bytes = code_bytes(e)};
    return ok;
}

bool export_c(const export_model *m, const char *folder, export_sizes *sizes, nasc_diag *d)
{
    CHECK(export_name_fits(m->name));
    arena digits = {0};
    exporter e = {.digits = &digits, .m = m, .folder = folder, .sizes = sizes};
    bool ok = arena_within(export_within, &e, d);
    arena_free(&digits);
    return ok;
}
