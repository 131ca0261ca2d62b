/* Folders of images, one a class. Opening reads names alone; pixels are decoded when a batch asks for them. */
#include "runtime/data/files.h"
#include "runtime/data/source.h"

#include <string.h>
#include <strings.h>

enum { H = 224, W = 224, C = 3 };
static const double CENTRE = 0.875, SET_ASIDE = 0.1;

/* The images of a part, while it is put together. */
typedef struct listing {
    text names;
    VEC(size_t) name;
    VEC(int32_t) label;
} listing;

static bool is_image(const struct source *s, const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *ending = strrchr(name, '.');
    (void)s;
    for (size_t i = 0; i < COUNT(endings); i++)
        if (ending && strcasecmp(ending, endings[i]) == 0)
            return true;
    return false;
}

/* ---- listing ----------------------------------------------------------------------------------------------------- */

static void list_one(struct source *s, listing *to, const char *name, int label)
{
    VEC_PUSH(&s->scratch, &to->name, to->names.length);
    VEC_PUSH(&s->scratch, &to->label, label);
    text_bytes(&to->names, name, strlen(name) + 1);
}

/* The names of one class's images. */
static bool class_images(struct source *s, const char *root, const char *class, folder_names *images)
{
    if (!folder_list(s, arena_printf(&s->scratch, "%s/%s", root, class), is_image, images))
        return false;
    return images->count > 0 ||
           diag_fail(s->d, DIAG_INPUT, s->file, "holds no images: expected .jpg, .jpeg or .png files of one class");
}

static int label_of(const dataset *set, const char *class)
{
    for (int label = 0; label < set->classes; label++)
        if (strcmp(set->class_names[label], class) == 0)
            return label;
    return -1;
}

/* All images of all classes that `root` has folders of; each is one of the set's. */
static bool list_part(struct source *s, const char *root, listing *to)
{
    folder_names classes, images;
    if (!folder_list(s, root, folder_is_folder, &classes))
        return false;
    if (classes.count == 0)
        return diag_fail(s->d, DIAG_INPUT, root, "holds no folders: expected one for each class");
    for (int k = 0; k < classes.count; k++) {
        int label = label_of(s->set, classes.at[k]);
        if (label < 0)
            return diag_fail(s->d, DIAG_INPUT, arena_printf(&s->scratch, "%s/%s", root, classes.at[k]),
                             "is of a class that the training images do not have");
        if (!class_images(s, root, classes.at[k], &images))
            return false;
        for (int i = 0; i < images.count; i++)
            list_one(s, to, images.at[i], label);
    }
    return true;
}

static bool name_classes(struct source *s, const char *root)
{
    folder_names classes;
    dataset *set = s->set;
    if (!folder_list(s, root, folder_is_folder, &classes))
        return false;
    if (classes.count == 0)
        return diag_fail(s->d, DIAG_INPUT, root, "holds no folders: expected one for each class");
    if (classes.count == 1)
        return diag_fail(s->d, DIAG_INPUT, root, "holds the folder of one class (%s): expected two classes or more",
                         classes.at[0]);
    set->classes = classes.count;
    set->class_names = NEW_ARRAY(s->a, const char *, classes.count);
    for (int k = 0; k < classes.count; k++)
        set->class_names[k] = arena_strdup(s->a, classes.at[k]);
    return true;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static void part_new(struct source *s, const char *root, const listing *from, struct data_part *part)
{
    struct image_files *f = NEW(s->a, struct image_files);
    part->count = from->name.count;
    part->files = f;
    part->labels = arena_copy(s->a, from->label.at, (size_t)part->count * sizeof *part->labels);
    f->root = arena_strdup(s->a, root);
    f->class_names = s->set->class_names;
    f->names = arena_copy(s->a, from->names.at, from->names.length);
    f->name = arena_copy(s->a, from->name.at, (size_t)part->count * sizeof *f->name);
    f->fault = arena_alloc(s->a, (size_t)part->count * sizeof *f->fault);
}

/* Of images first … end - 1, which are of one class, those that the seed chooses go to `test`, the rest to `train`. */
static void part_class(struct source *s, const listing *all, int first, int end, listing *train, listing *test)
{
    uint32_t count = (uint32_t)(end - first), aside = data_held_out(count, SET_ASIDE);
    uint32_t *at = NEW_ARRAY(&s->scratch, uint32_t, count);
    bool *tests = NEW_ARRAY(&s->scratch, bool, count);
    for (uint32_t i = 0; i < count; i++)
        at[i] = i;
    rng r = rng_open(s->options->seed, RNG_SET_ASIDE, 0, (uint32_t)all->label.at[first]);
    rng_shuffle(&r, at, count);
    if (aside == 0 && count > 1)
        aside = 1;
    for (uint32_t i = 0; i < aside; i++)
        tests[at[i]] = true;
    for (int i = first; i < end; i++)
        list_one(s, tests[i - first] ? test : train, all->names.at + all->name.at[i], all->label.at[i]);
}

static bool set_aside(struct source *s, const char *root, const listing *all)
{
    listing train = {.names.arena = &s->scratch}, test = train;
    for (int first = 0, end; first < all->name.count; first = end) {
        for (end = first; end < all->name.count && all->label.at[end] == all->label.at[first]; end++)
            ;
        part_class(s, all, first, end, &train, &test);
    }
    if (test.name.count == 0)
        return diag_fail(s->d, DIAG_INPUT, root, "has one image a class: none can be set aside for testing");
    part_new(s, root, &train, &s->set->train);
    part_new(s, root, &test, &s->set->test);
    s->set->note = arena_printf(s->a,
                                "%s: no train/ beside val/ or test/: of its %d images %d are set aside for testing, a "
                                "tenth of each class, chosen by the seed",
                                root, all->name.count, test.name.count);
    return true;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* DIR/NAME; NULL: there is no such folder. */
static const char *folder_in(struct source *s, const folder_names *has, const char *name)
{
    for (int i = 0; i < has->count; i++)
        if (strcmp(has->at[i], name) == 0)
            return arena_printf(&s->scratch, "%s/%s", s->path, name);
    return NULL;
}

bool images_open(struct source *s)
{
    dataset *set = s->set;
    const data_options *o = s->options;
    set->h = o->h ? o->h : H;
    set->w = o->w ? o->w : W;
    set->c = o->c ? o->c : C;
    set->centre = o->centre > 0 ? o->centre : CENTRE;
    if (set->c != 1 && set->c != 3)
        return diag_fail(s->d, DIAG_INPUT, s->spec, "images have 1 or 3 channels, the input asked for has %d", set->c);
    folder_names has;
    if (!folder_list(s, s->path, folder_is_folder, &has))
        return false;
    const char *train = folder_in(s, &has, "train"), *test = folder_in(s, &has, "val");
    test = test ? test : folder_in(s, &has, "test");
    listing all = {.names.arena = &s->scratch}, tests = all;
    const char *root = train && test ? train : s->path;
    if (!name_classes(s, root) || !list_part(s, root, &all))
        return false;
    if (root != train)
        return set_aside(s, root, &all);
    if (!list_part(s, test, &tests))
        return false;
    part_new(s, train, &all, &set->train);
    part_new(s, test, &tests, &set->test);
    return true;
}
