/* The rules behind the table of primitives: shape_NAME, grad_NAME, cost_NAME of each row of NET_PRIMS. Rows that share
 * a rule say so here, in the lists below; every other function stands in rules_*.c, a family of primitives a file. */
#ifndef NASC_NET_RULES_H
#define NASC_NET_RULES_H

#include "net/net.h"

/* ---- shared shape rules ---- */
#define shape_input          shape_leaf
#define shape_constant       shape_leaf
#define shape_relu           shape_same
#define shape_relu6          shape_same
#define shape_hard_swish     shape_same
#define shape_hard_sigmoid   shape_same
#define shape_sigmoid        shape_same
#define shape_tanh           shape_same
#define shape_identity       shape_same
#define shape_act_dx         shape_same
#define shape_square_root    shape_same
#define shape_row_softmax    shape_same
#define shape_row_softmax_dx shape_same
#define shape_row_rescale    shape_same
#define shape_add            shape_broadcast
#define shape_mul            shape_broadcast
#define shape_sub            shape_broadcast
#define shape_divide         shape_broadcast
#define shape_madd           shape_broadcast
#define shape_minimum        shape_broadcast
#define shape_max_pool       shape_pool
#define shape_avg_pool       shape_pool
#define shape_sum_pool       shape_pool
#define shape_normalise      shape_with_bn
#define shape_standard       shape_with_bn
#define shape_fixed_dx       shape_with_bn

/* ---- shared cost rules: free; one operation between operands; one an element of the largest; one for each tap;
 * a multiply-add for each operand but the first ---- */
#define cost_input          cost_free
#define cost_constant       cost_free
#define cost_concat         cost_free
#define cost_slice          cost_free
#define cost_identity       cost_free
#define cost_select         cost_free
#define cost_transpose      cost_free
#define cost_filter         cost_free
#define cost_unfilter       cost_free
#define cost_pad            cost_free
#define cost_shuffle        cost_free
#define cost_zero           cost_free
#define cost_channel_pad    cost_free
#define cost_scatter_rows   cost_free
#define cost_bias           cost_between
#define cost_relu           cost_map
#define cost_relu6          cost_map
#define cost_hard_swish     cost_map
#define cost_hard_sigmoid   cost_map
#define cost_sigmoid        cost_map
#define cost_tanh           cost_map
#define cost_add            cost_between
#define cost_mul            cost_between
#define cost_mix            cost_madds
#define cost_pool_scale     cost_map
#define cost_global_pool    cost_map
#define cost_global_pool_dx cost_map
#define cost_batch_norm     cost_map
#define cost_centre         cost_between
#define cost_normalise      cost_madds
#define cost_standard       cost_map
#define cost_bn_dx          cost_madds
#define cost_fixed_dx       cost_between
#define cost_act_dx         cost_map
#define cost_scale          cost_between
#define cost_chan_sum       cost_map
#define cost_image_sum      cost_map
#define cost_row_sum        cost_map
#define cost_bn_finish      cost_map
#define cost_bn_exact       cost_map
#define cost_first_pixel    cost_free
#define cost_subsample      cost_free
#define cost_subsample_dx   cost_free
#define cost_bn_fixed       cost_map
#define cost_bn_move        cost_map
#define cost_bn_coef        cost_map
#define cost_fold           cost_map
#define cost_channel_total  cost_map
#define cost_softmax_xent   cost_map
#define cost_xent_dx        cost_map
#define cost_batch_mean     cost_map
#define cost_mean_dx        cost_map
#define cost_correct        cost_map
#define cost_sub            cost_between
#define cost_divide         cost_between
#define cost_square_root    cost_map
#define cost_madd           cost_map
#define cost_minimum        cost_between
#define cost_norm2          cost_map
#define cost_row_softmax    cost_map
#define cost_row_softmax_dx cost_map
#define cost_row_rescale    cost_map
#define cost_q_images       cost_map
#define cost_q_add          cost_madds
#define cost_q_global_pool  cost_map
#define cost_q_logits       cost_map
#define cost_q_max_pool     cost_window
#define cost_q_avg_pool     cost_window
#define cost_linear         cost_conv
#define cost_conv_dx        cost_conv
#define cost_conv_dw        cost_conv
#define cost_linear_dw      cost_conv
#define cost_lib_conv       cost_conv
#define cost_lib_conv_dx    cost_conv
#define cost_lib_conv_dw    cost_conv
#define cost_max_pool       cost_window
#define cost_avg_pool       cost_window
#define cost_sum_pool       cost_window
#define cost_sum_pool_dx    cost_window
#define cost_max_pool_dx    cost_window

#define grad_bias grad_broadcast_sum
#define grad_add  grad_broadcast_sum
/* ---- shared gradient rules. grad_none: no gradient passes (leaves, composites, what grad itself writes) ---- */
#define grad_batch_norm     grad_none
#define grad_linear         grad_none
#define grad_avg_pool       grad_none
#define grad_zero           grad_none
#define grad_identity       grad_none
#define grad_input          grad_none
#define grad_constant       grad_none
#define grad_centre         grad_none
#define grad_standard       grad_none
#define grad_conv_dx        grad_none
#define grad_conv_dw        grad_none
#define grad_linear_dw      grad_none
#define grad_transpose      grad_none
#define grad_filter         grad_none
#define grad_unfilter       grad_none
#define grad_lib_conv       grad_none
#define grad_lib_conv_dx    grad_none
#define grad_lib_conv_dw    grad_none
#define grad_sum_pool_dx    grad_none
#define grad_max_pool_dx    grad_none
#define grad_global_pool_dx grad_none
#define grad_fixed_dx       grad_none
#define grad_bn_dx          grad_none
#define grad_act_dx         grad_none
#define grad_chan_sum       grad_none
#define grad_image_sum      grad_none
#define grad_row_sum        grad_none
#define grad_channel_pad    grad_none
#define grad_bn_finish      grad_none
#define grad_bn_exact       grad_none
#define grad_first_pixel    grad_none
#define grad_subsample      grad_none
#define grad_subsample_dx   grad_none
#define grad_bn_gram        grad_none
#define grad_bn_fixed       grad_none
#define grad_bn_dx_weights  grad_none
#define grad_bn_dx_bias     grad_none
#define grad_bn_move        grad_none
#define grad_bn_coef        grad_none
#define grad_fold           grad_none
#define grad_channel_total  grad_none
#define grad_scatter_rows   grad_none
#define grad_xent_dx        grad_none
#define grad_mean_dx        grad_none
#define grad_sub            grad_none
#define grad_divide         grad_none
#define grad_square_root    grad_none
#define grad_madd           grad_none
#define grad_minimum        grad_none
#define grad_norm2          grad_none
#define grad_row_softmax_dx grad_none
#define grad_row_rescale    grad_none
#define grad_correct        grad_none
#define grad_softmax_xent   grad_none
#define grad_q_images       grad_none
#define grad_q_conv         grad_none
#define grad_q_add          grad_none
#define grad_q_max_pool     grad_none
#define grad_q_avg_pool     grad_none
#define grad_q_global_pool  grad_none
#define grad_q_logits       grad_none
#define grad_relu           grad_activation
#define grad_relu6          grad_activation
#define grad_hard_swish     grad_activation
#define grad_hard_sigmoid   grad_activation
#define grad_sigmoid        grad_activation
#define grad_tanh           grad_activation

#define X(name, least, most, class)                                                                                    \
    bool shape_##name(const net *n, const net_node *node, net_type *result, char *why, size_t size);                   \
    void grad_##name(net_grad_context *g, int node, int gradient);                                                     \
    net_cost cost_##name(const net *n, const net_node *node);
NET_PRIMS(X)
#undef X

/* ---- what the rules are written with ---- */

static inline const net_type *operand_type(const net *n, const net_node *node, int i)
{
    return &n->nodes.at[node->operand[i]].type;
}

/* Writes why a shape is refused; returns false. */
bool refuse(char *why, size_t size, const char *format, ...) PRINTF(3, 4);
/* "Nx32x32x16" into a small buffer, for messages. */
typedef struct type_text {
    char at[64];
} type_text;
type_text type_show(const net_type *t);
bool is_vector(const net_type *t, int rows, int channels); /* (1,1,rows,channels) */
bool is_image(const net_type *t);                          /* (N,h,w,c), not chunked */
net_type vector_type(enum dtype dtype, int rows, int channels);
net_type image_type(enum dtype dtype, int h, int w, int c);
net_type chunk_type(enum dtype dtype, int images, int h, int w, int c); /* images: of a row */
/* attr.row and attr.pick[0 … picks) inside the candidate weights of operand i. */
bool picks_fit(const net *n, const net_node *node, int i, int picks, char *why, size_t size);

#endif
