#include "simd_avx2_f64.h"

#include "kernels/simd/table.inc"
