#include "kernels/avx2/simd_avx2_f32.h"
#include "kernels/simd/table.inc"
