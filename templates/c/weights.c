/* The weights of @NAME@; what the words at the beginning mean stands in @NAME@.c. */
#include "@NAME@.h"

const _Alignas(64) struct @NAME@_weights @NAME@_weights = {
    {@HEADER@},
    {
@VALUES@    },
};
