/* Decimal text to enclosing floating-point numbers, exactly (no libc rounding assumed). */
#ifndef BFI_BASE_DECIMAL_H
#define BFI_BASE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>

/* Parses [+-]digits[.digits][e[+-]digits] filling the whole of |text|; digits may be missing on one
 * side of the point ("1.", ".5"). On success *|lo| <= written value <= *|hi| are the tightest
 * doubles (equal when the decimal is a double). Values beyond double's range give lo or hi
 * infinite. False when |text| is no such number. Independent of the locale; thread-safe. */
bool bfi_decimal_enclose(const char *text, size_t length, double *lo, double *hi);

/* The same, with the double nearest to the written value (ties to even) in *|nearest|. */
bool bfi_decimal_read(const char *text, size_t length, double *lo, double *hi, double *nearest);

#endif
