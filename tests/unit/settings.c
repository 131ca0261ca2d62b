/* Settings: what is given goes before defaults, those for image files included; an unknown one is answered by all
 * names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "space/space.h"

static void image_defaults_yield_to_what_is_given(void **state)
{
    (void)state;
    settings s, of_files;
    nasc_diag d = {0};
    settings_defaults(&s, SETTINGS_TRAIN);
    assert_true(settings_number(&s, SETTING_crop_area) == 0 && settings_number(&s, SETTING_brightness) == 0);
    of_files = s;
    settings_for_images(&of_files);
    assert_string_equal(settings_text(&of_files, SETTING_input), "224x224x3");
    assert_true(settings_number(&of_files, SETTING_crop_area) == 0.08 && settings_int(&of_files, SETTING_crop) == 0);
    assert_true(settings_number(&of_files, SETTING_saturation) == 0.4 && settings_int(&of_files, SETTING_flip) == 1);
    assert_true(settings_assign(&s, "input=64x64x1", "--set", &d));
    assert_true(settings_assign(&s, "crop_area=0", "--set", &d)); /* what the default is, but said */
    settings_for_images(&s);
    assert_string_equal(settings_text(&s, SETTING_input), "64x64x1");
    assert_true(settings_number(&s, SETTING_crop_area) == 0 && settings_number(&s, SETTING_contrast) == 0.4);
    settings again = s;
    settings_for_images(&again);
    for (int i = 0; i < SETTING_COUNT; i++)
        assert_string_equal(again.at[i].text, s.at[i].text);
}

static void the_list_of_names_is_whole(void **state)
{
    (void)state;
    settings s;
    nasc_diag d = {0};
    settings_defaults(&s, SETTINGS_DARTS);
    assert_false(settings_assign(&s, "qqqqqqqq=1", "--set", &d));
    for (int i = 0; i < SETTING_COUNT; i++)
        if (!strstr(d.message, setting_table[i].name))
            fail_msg("%s is missing: %s", setting_table[i].name, d.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_defaults_yield_to_what_is_given),
        cmocka_unit_test(the_list_of_names_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
