#include "kernels/avx512/simd_avx512_f64.h"
#include "kernels/simd/table.inc"
