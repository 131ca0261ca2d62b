/* The door to both lowerings: a group and a target in, a kernel with its name, arguments and work out. */
#include "loop/int8.h"
#include "loop/simt.h"

#include <stdio.h>
#include <string.h>

/* What the kernel does, for profiles and generated code: the primitives that its stages compute. */
static void name_kernel(simd *s)
{
    char *to = s->pen.k->name;
    size_t room = sizeof s->pen.k->name, used = 0;
    const char *last = "";
    for (int i = 0; i < s->stages.count + s->g->roots.count; i++) {
        int node = i < s->stages.count ? s->stages.at[i].core : s->g->roots.at[i - s->stages.count];
        if (node < 0 || (i < s->stages.count && s->f->place[node] == PLACE_MEMORY))
            continue;
        const net_node *v = &s->n->nodes.at[node];
        const char *name = net_prim_info[v->prim].name;
        if (strcmp(name, last) == 0)
            continue;
        last = name;
        char part[32];
        if ((v->prim == NET_conv || v->prim == NET_conv_dx || v->prim == NET_conv_dw) && v->attr.window.kh > 0)
            snprintf(part, sizeof part, "%s%s%s%d", used ? "_" : "", net_is_depthwise(s->n, v) ? "dw_" : "", name,
                     v->attr.window.kh);
        else
            snprintf(part, sizeof part, "%s%s", used ? "_" : "", name);
        if (used + strlen(part) + 1 > room)
            break;
        memcpy(to + used, part, strlen(part) + 1);
        used += strlen(part);
    }
}

lower_room lower_room_new(arena *a, const net *n)
{
    return (lower_room){.arg_of = NEW_ARRAY(a, int, n->nodes.count), .seen = NEW_ARRAY(a, int, n->nodes.count)};
}

lowered *lower_group(arena *a, const fusion *f, const group *g, const lower_layout *layout, const target *t,
                     const lower_options *o, lower_room *room)
{
    simd s = {
        .a = a, .f = f, .n = f->n, .g = g, .layout = layout, .t = t, .o = o, .core = -1, .finished = -1, .at_hand = -1};
    s.room = room;
    s.out = NEW(a, lowered);
    s.out->k = NEW(a, kernel);
    s.pen = (loop_pen){.arena = a, .k = s.out->k};
    if (int8_is(s.n->nodes.at[g->roots.at[0]].prim))
        int8_lower(&s, g->roots.at[0]);
    else if (t->capability)
        simt_lower(&s);
    else
        simd_lower(&s);
    simd_count_work(&s);
    name_kernel(&s);
    for (int i = 0; i < s.out->args.count; i++)
        room->arg_of[s.out->args.at[i].value] = 0;
    return s.out;
}
