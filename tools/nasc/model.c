/* Reads FILE and puts the settings in their order: defaults < the file's own < the command line's. */
#include "model.h"

bool model_settings(settings *set, const arguments *a, nasc_diag *d)
{
    for (int i = 0; i < a->settings.count; i++)
        if (!settings_assign(set, a->settings.at[i], "--set", d))
            return false;
    return true;
}

bool model_open(model *m, const arguments *a, const char *path, nasc_diag *d)
{
    *m = (model){0};
    m->space = space_read(path, d);
    if (!m->space)
        return false;
    m->genotype = space_is_genotype(m->space);
    settings_defaults(&m->settings, m->genotype               ? SETTINGS_TRAIN
                                    : space_selects(m->space) ? SETTINGS_PROXYLESS
                                                              : SETTINGS_DARTS);
    settings_from_space(&m->settings, m->space);
    if (!model_settings(&m->settings, a, d))
        return false;
    return settings_input(&m->settings, &m->h, &m->w, &m->c) ||
           diag_fail(d, DIAG_INPUT, path, "input is '%s', expected HxWxC", settings_text(&m->settings, SETTING_input));
}

bool model_build(const model *m, const arguments *a, space_mode mode, space_net *net, nasc_diag *d)
{
    return space_build(m->space, &m->settings, mode, a->arena, net, d);
}

void model_close(model *m)
{
    if (m->space)
        space_free(m->space);
    m->space = NULL;
}
