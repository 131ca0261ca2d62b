/* The words of a net's text form, shared by print and parse. A net reads, in this order:
 *
 *     region 1 select 0 candidate 0 parent 0
 *     region 2 select 0 candidate 0 parent 0 gate
 *     chunk 4
 *     slot weights 864
 *     mask rate 1 channels 1 offset 0
 *     %0 = input {slot images} : f32 Nx32x32x3 "images"
 *     %1 = input {slot weights} : f32 3x3x3x32 "stem.weight"
 *     %2 = conv %0, %1 {k 3x3 s 1x1 d 1x1 p 1,1,1,1 g 1} : f32 Nx32x32x32 "stem" @1
 *     param "stem.weight" weights 0 3x3x3x32 conv uniform 0.19
 *     out %2 logits 0
 *
 * N: the batch; K: a row for each chunk of images (8 where no line says how many), K2: for each two; @1: the region, where it is not 0. Attributes that are zero are left out; so is the
 * type attribute, which is the value's own. `#` begins a comment. */
#ifndef NASC_NET_WORDS_H
#define NASC_NET_WORDS_H

#include "net/net.h"

/* X(key, field): attributes of one number */
#define NET_INTS(X)                                                                                                    \
    X("h", h)                                                                                                          \
    X("w", w)                                                                                                          \
    X("begin", begin)                                                                                                  \
    X("count", count) X("row", row) X("select", select) X("regions", first_region) X("step", step) X("panel", panel)
#define NET_REALS(X) X("value", value) X("eps", eps) X("momentum", momentum)
#define NET_FLAGS(X) X("train", train) X("move", move) X("floor", floor) X("fleeting", fleeting) X("again", again)

enum { NET_SLOT_WORDS = SLOT_USER + 1 };
extern const char *const net_slot_word[NET_SLOT_WORDS]; /* the last is "user", a number follows: user0, user1 … */
extern const char *const net_layout_word[3];
extern const char *const net_init_word[4];
/* Whether attr.type says the type of the value. */
bool net_type_given(enum net_prim prim);

#endif
