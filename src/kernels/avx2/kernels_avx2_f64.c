#include "kernels/avx2/simd_avx2_f64.h"
#include "kernels/simd/table.inc"
