/* Any bytes: an error or an array whose shape fits its numbers. */
#include <stdint.h>
#include <stdlib.h>

#include "frontend/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bf_array array = {0};
    bf_error err;
    if (bfi_npy_parse(data, size, "fuzz.npy", &array, &err) != BF_STATUS_OK) return 0;
    int64_t count = 1;
    for (int32_t d = 0; d < array.rank; d++) count *= array.dims[d];
    if (count != array.count || (uint64_t)count > size) abort();
    volatile double last = 0;
    for (int64_t i = 0; i < count; i++) last = array.data[i];
    (void)last;
    bfi_array_clear(&array);
    return 0;
}
