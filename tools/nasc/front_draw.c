/* The pareto front as a scatter plot: the frame is templates/report/pareto.svg, here are scales and what stands on
 * them. Numbers are written with one digit behind the point, so that the same front gives the same file. */
#include "emit/export.h"
#include "front.h"
#include "templates.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT = 72, TOP = 44, WIDTH = 536, HEIGHT = 312 }; /* of the frame, in pixels */
enum { STEPS_WANTED = 5 };                               /* between the lines of an axis */

/* An axis from `low` to `high`, with a line every `step`. */
typedef struct axis {
    double low, high, step;
    double from, to; /* in pixels */
    int decimals;
} axis;

/* Steps are 1, 2 or 5 times a power of ten, and the ends are multiples of them. */
static axis axis_of(double least, double most, double from, double to)
{
    static const double factors[] = {1, 2, 5};
    double span = most > least ? most - least : fmax(fabs(most) / 10, 1e-6);
    double power = pow(10, floor(log10(span / STEPS_WANTED))), step = 10 * power;
    for (size_t i = COUNT(factors); i-- > 0;)
        step = factors[i] * power * STEPS_WANTED >= span ? factors[i] * power : step;
    axis a = {floor(least / step) * step, ceil(most / step) * step, step, from, to, 0};
    if (a.high <= a.low)
        a.high = a.low + step;
    a.decimals = (int)fmax(0, -floor(log10(step) + 1e-9));
    return a;
}

static double place(const axis *a, double value)
{
    return a->from + (a->to - a->from) * (value - a->low) / (a->high - a->low);
}

static void add_grid(text *t, const axis *x, const axis *y)
{
    for (int i = 0; i <= (int)lround((x->high - x->low) / x->step); i++) {
        double value = x->low + i * x->step, at = place(x, value);
        text_add(t, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", at, TOP, at, TOP + HEIGHT);
        text_add(t, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f</text>\n", at, TOP + HEIGHT + 18,
                 x->decimals, value);
    }
    for (int i = 0; i <= (int)lround((y->high - y->low) / y->step); i++) {
        double value = y->low + i * y->step, at = place(y, value);
        text_add(t, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, at, LEFT + WIDTH, at);
        text_add(t, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>\n", LEFT - 8, at + 4, y->decimals,
                 value);
    }
}

static int by_cost(const void *left, const void *right)
{
    const front_point *a = left, *b = right;
    int cost = (a->cost > b->cost) - (a->cost < b->cost);
    return cost ? cost : strcmp(a->folder, b->folder);
}

static void add_point(text *t, const front *f, const front_point *p, double x, double y)
{
    bool right = x > LEFT + 0.75 * WIDTH, above = right || y > TOP + HEIGHT - 24; /* a front rises from the left */
    text_add(t, "<circle%s cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"><title>%s: %.*f %s, %.2f %%</title></circle>",
             p->dominated ? " class=\"dominated\"" : "", x, y, p->folder, f->cost->decimals, p->cost, f->cost->unit,
             100 * p->accuracy);
    text_add(t, "<text x=\"%.1f\" y=\"%.1f\"%s>", right ? x - 8 : x + 8, above ? y - 7 : y + 17,
             right ? " text-anchor=\"end\"" : "");
    if (f->several_targets)
        text_add(t, "target %.15g", p->target);
    if (f->several_seeds)
        text_add(t, "%sseed %" PRId64, f->several_targets ? ", " : "", p->seed);
    text_add(t, "</text>\n");
}

/* Axes that hold every point. */
static void axes_of(const front *f, axis *x, axis *y)
{
    double cost[2] = {f->at[0].cost, f->at[0].cost}, accuracy[2] = {f->at[0].accuracy, f->at[0].accuracy};
    for (int i = 1; i < f->count; i++) {
        cost[0] = fmin(cost[0], f->at[i].cost);
        cost[1] = fmax(cost[1], f->at[i].cost);
        accuracy[0] = fmin(accuracy[0], f->at[i].accuracy);
        accuracy[1] = fmax(accuracy[1], f->at[i].accuracy);
    }
    double unit = f->cost->axis_unit;
    *x = axis_of(cost[0] / unit, cost[1] / unit, LEFT, LEFT + WIDTH);
    *y = axis_of(100 * accuracy[0], 100 * accuracy[1], TOP + HEIGHT, TOP);
}

static const char *escaped(arena *a, const char *s)
{
    text t = {.arena = a};
    for (; *s; s++)
        text_add(&t, *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : "%c", *s);
    return t.at ? t.at : "";
}

text front_draw(const front *f, arena *a)
{
    axis x, y;
    axes_of(f, &x, &y);
    front_point *sorted = arena_copy(a, f->at, (size_t)f->count * sizeof *f->at);
    qsort(sorted, (size_t)f->count, sizeof *sorted, by_cost);
    text grid = {.arena = a}, line = {.arena = a}, points = {.arena = a}, picture = {.arena = a};
    add_grid(&grid, &x, &y);
    for (int i = 0; i < f->count; i++) {
        double px = place(&x, sorted[i].cost / f->cost->axis_unit), py = place(&y, 100 * sorted[i].accuracy);
        if (!sorted[i].dominated)
            text_add(&line, "%s%.1f,%.1f", line.length ? " " : "", px, py);
        add_point(&points, f, &sorted[i], px, py);
    }
    const template_value values[] = {{"TITLE", arena_printf(a, "%s: accuracy against cost", escaped(a, f->name))},
                                     {"LEFT", arena_printf(a, "%d", LEFT)},
                                     {"TOP", arena_printf(a, "%d", TOP)},
                                     {"WIDTH", arena_printf(a, "%d", WIDTH)},
                                     {"HEIGHT", arena_printf(a, "%d", HEIGHT)},
                                     {"CENTRE", arena_printf(a, "%d", LEFT + WIDTH / 2)},
                                     {"MIDDLE", arena_printf(a, "%d", TOP + HEIGHT / 2)},
                                     {"X_NAME", f->cost->axis_name},
                                     {"Y_NAME", "held-out accuracy in %"},
                                     {"GRID", grid.at},
                                     {"FRONT", line.at},
                                     {"POINTS", points.at}};
    template_fill(&picture, template_report_pareto_svg, values, COUNT(values));
    return picture;
}
