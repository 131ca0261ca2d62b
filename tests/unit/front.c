/* The pareto front: which points are dominated, which is the best, and that any front can be drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
/* The command is no library. */
#include "../../tools/nasc/front.c"      /* NOLINT(bugprone-suspicious-include) */
#include "../../tools/nasc/front_draw.c" /* NOLINT(bugprone-suspicious-include) */

static void marks(void **state)
{
    (void)state;
    /* cost, accuracy, dominated: worse in both, in one, equal to another, and each end of the front */
    static const double rows[][3] = {{5, 0.8, 0}, {6, 0.7, 1}, {6, 0.8, 1}, {5, 0.7, 1},
                                     {5, 0.8, 0}, {4, 0.6, 0}, {9, 0.9, 0}, {4, 0.5, 1}};
    front_point points[COUNT(rows)] = {{0}};
    front f = {.cost = cost_find("macs"), .at = points, .count = COUNT(rows)};
    for (size_t i = 0; i < COUNT(rows); i++)
        points[i] = (front_point){.cost = rows[i][0], .accuracy = rows[i][1]};
    front_mark(&f);
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(points[i].dominated, rows[i][2]);
    assert_ptr_equal(front_best(&f), &points[6]);
    points[6].accuracy = 0.8;
    assert_ptr_equal(front_best(&f), &points[0]); /* of equals the cheapest, of such the first */
    points[4].cost = 3;
    assert_ptr_equal(front_best(&f), &points[4]);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(cost_find("params")->name, "params");
    assert_string_equal(cost_find("latency")->unit, "predicted ms");
    assert_null(cost_find("watts"));
    assert_null(cost_find(NULL));
}

/* Every number of `attribute` in the picture lies between the frame's sides. */
static void inside(const char *picture, const char *attribute, double least, double most)
{
    int found = 0;
    for (const char *at = picture; (at = strstr(at, attribute)); found++) {
        at += strlen(attribute);
        double value = strtod(at, NULL);
        assert_true(value >= least && value <= most);
    }
    assert_true(found > 0);
}

static void drawings(void **state)
{
    (void)state;
    unsigned seed = 20;
    for (int n = 1; n < 40; n++) {
        arena a = {0};
        front_point points[40] = {{0}};
        front f = {.name = "a<b & c", .cost = cost_find("macs"), .several_targets = true, .at = points, .count = n};
        for (int i = 0; i < n; i++)
            points[i] = (front_point){.folder = arena_printf(&a, "target-%d", i),
                                      .target = i + 1,
                                      .cost = n % 3 ? 1e3 * (rand_r(&seed) % 1000000) : 7e6,
                                      .accuracy = n % 4 ? rand_r(&seed) % 1001 / 1000.0 : 1};
        front_mark(&f);
        const char *picture = front_draw(&f, &a).at;
        assert_null(strstr(picture, "nan"));
        assert_null(strstr(picture, "inf"));
        assert_non_null(strstr(picture, "a&lt;b &amp; c: accuracy"));
        inside(picture, "cx=\"", LEFT, LEFT + WIDTH);
        inside(picture, "cy=\"", TOP, TOP + HEIGHT);
        inside(picture, "<line x1=\"", LEFT, LEFT + WIDTH);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(marks), cmocka_unit_test(names), cmocka_unit_test(drawings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
