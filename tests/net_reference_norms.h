/* Batch norms by definition: a part of net_reference.h. */
#ifndef NASC_TESTS_NET_REFERENCE_NORMS_H
#define NASC_TESTS_NET_REFERENCE_NORMS_H

static void ref_bn_rows(reference *r, int c, double mean, double var, int gamma)
{
    double *out = r->out;
    int channels = r->node->type.c;
    double rstd = 1 / sqrt(var + r->node->attr.eps);
    bool affine = r->node->count > gamma;
    out[REF_MEAN * channels + c] = mean;
    out[REF_SCALE * channels + c] = (affine ? ref_value(r, gamma)[c] : 1) * rstd;
    out[REF_SHIFT * channels + c] = affine ? ref_value(r, gamma + 1)[c] : 0;
    out[REF_RSTD * channels + c] = rstd;
    out[REF_VAR * channels + c] = var;
}

static double ref_pixels(const reference *r)
{
    return (double)r->batch * r->node->attr.h * r->node->attr.w;
}

static void ref_bn_finish(reference *r)
{
    for (int c = 0; c < r->node->type.c; c++) {
        double d = ref_total(r, 0, c) / ref_pixels(r), square = ref_total(r, 1, c) / ref_pixels(r);
        ref_bn_rows(r, c, ref_row(r, 2, 0, c) + d, square - d * d, 3);
    }
}

static void ref_bn_exact(reference *r)
{
    const net_type *t = ref_type(r, 0);
    int64_t pixels = (int64_t)r->batch * t->h * t->w;
    for (int c = 0; c < t->c; c++) {
        double sum = 0, square = 0;
        for (int64_t i = 0; i < pixels; i++)
            sum += ref_value(r, 0)[i * t->c + c];
        for (int64_t i = 0; i < pixels; i++)
            square += pow(ref_value(r, 0)[i * t->c + c] - sum / (double)pixels, 2);
        ref_bn_rows(r, c, sum / (double)pixels, square / (double)pixels, 2);
    }
}

static void ref_bn_gram(reference *r)
{
    const net_type *w = ref_type(r, 3);
    for (int c = 0; c < w->c; c++) {
        double mean = 0, shift = 0, square = 0;
        for (int i = 0; i < w->w; i++) {
            shift += ref_value(r, 3)[i * w->c + c] * ref_total(r, 1, i) / ref_pixels(r);
            mean += ref_value(r, 3)[i * w->c + c] * ref_value(r, 2)[i];
            for (int j = 0; j < w->w; j++)
                square += ref_value(r, 3)[i * w->c + c] * ref_total(r, 0, i * w->w + j) *
                          ref_value(r, 3)[j * w->c + c] / ref_pixels(r);
        }
        ref_bn_rows(r, c, mean + shift, square - shift * shift, 4);
    }
}

static void ref_first_pixel(reference *r)
{
    memcpy(r->out, ref_value(r, 0), (size_t)r->node->type.c * sizeof(double));
}

static void ref_bn_dx_weights(reference *r)
{
    const net_type *w = ref_type(r, 0);
    for (int i = 0; i < w->c; i++)
        for (int j = 0; j < w->c; j++)
            for (int o = 0; o < w->w; o++)
                r->out[i * w->c + j] +=
                    ref_value(r, 0)[o * w->c + i] * ref_row(r, 1, REF_COEF_B, o) * ref_value(r, 0)[o * w->c + j];
}

static void ref_bn_dx_bias(reference *r)
{
    const net_type *w = ref_type(r, 0);
    for (int i = 0; i < w->c; i++)
        for (int o = 0; o < w->w; o++)
            r->out[i] +=
                ref_value(r, 0)[o * w->c + i] *
                (ref_row(r, 1, REF_COEF_D, o) - ref_row(r, 1, REF_COEF_B, o) * ref_row(r, 1, REF_COEF_MEAN, o));
}

static void ref_bn_fixed(reference *r)
{
    for (int c = 0; c < r->node->type.c; c++)
        ref_bn_rows(r, c, ref_row(r, 0, 0, c), ref_row(r, 0, 1, c), 1);
}

static void ref_bn_move(reference *r)
{
    double m = ref_pixels(r), momentum = r->node->attr.momentum;
    int channels = r->node->type.c;
    for (int c = 0; c < channels; c++) {
        r->out[c] = (1 - momentum) * ref_row(r, 0, 0, c) + momentum * ref_row(r, 1, REF_MEAN, c);
        r->out[channels + c] =
            (1 - momentum) * ref_row(r, 0, 1, c) + momentum * ref_row(r, 1, REF_VAR, c) * m / (m - 1);
    }
}

static void ref_bn_coef(reference *r)
{
    int channels = r->node->type.c;
    double weight = r->node->count > 3 ? ref_weight(r, 3, 0) : 1, m = ref_pixels(r);
    for (int c = 0; c < channels; c++) {
        double scale = ref_row(r, 2, REF_SCALE, c) * weight;
        r->out[c] = scale;
        r->out[channels + c] = -scale * ref_row(r, 2, REF_RSTD, c) * ref_total(r, 1, c) / m;
        r->out[2 * channels + c] = -scale * ref_total(r, 0, c) / m;
        r->out[3 * channels + c] = ref_row(r, 2, REF_MEAN, c);
    }
}

/* The composite, from its definition: two passes over the map. */
static void ref_batch_norm(reference *r)
{
    const net_type *t = ref_type(r, 0);
    const net_attr *a = &r->node->attr;
    double m = (double)r->batch * t->h * t->w;
    for (int channel = 0; channel < t->c; channel++) {
        double mean = ref_row(r, 1, 0, channel), var = ref_row(r, 1, 1, channel);
        for (int pass = 0; a->train && pass < 2; pass++) {
            double sum = 0;
            REF_EACH(r, t)
            if (c == channel)
                sum += pass ? pow(ref_value(r, 0)[ref_at(t, n, y, x, c)] - mean, 2)
                            : ref_value(r, 0)[ref_at(t, n, y, x, c)];
            *(pass ? &var : &mean) = sum / m;
        }
        double gamma = r->node->count > 2 ? ref_value(r, 2)[channel] : 1;
        double beta = r->node->count > 3 ? ref_value(r, 3)[channel] : 0;
        REF_EACH(r, t)
        if (c == channel)
            r->out[ref_at(t, n, y, x, c)] =
                (ref_value(r, 0)[ref_at(t, n, y, x, c)] - mean) / sqrt(var + a->eps) * gamma + beta;
    }
}

#endif
