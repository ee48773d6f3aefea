#include "kernels/avx512/simd_avx512_f32.h"
#include "kernels/simd/table.inc"
