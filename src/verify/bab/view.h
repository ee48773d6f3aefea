/* Numbers of a bfi_node_view. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_VIEW_H
#define BFI_VERIFY_BAB_VIEW_H

#include "exec/splits.h"

static inline double bfi_view_number(const bfi_node_view *v, const void *numbers, int64_t j) {
    return v->dtype == BFI_F32 ? (double)((const float *)numbers)[j * v->stride]
                               : ((const double *)numbers)[j * v->stride];
}
static inline double bfi_view_a(const bfi_node_view *v, int64_t j) {
    return bfi_view_number(v, v->a, j);
}
static inline double bfi_view_z(const bfi_node_view *v, int64_t j) {
    return bfi_view_number(v, v->z, j);
}

#endif
