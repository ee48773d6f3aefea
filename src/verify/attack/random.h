/* Random numbers with the same bits everywhere: splitmix64 (Steele, Lea, Flood 2014). */
#ifndef BFI_VERIFY_ATTACK_RANDOM_H
#define BFI_VERIFY_ATTACK_RANDOM_H

#include <stdint.h>

static inline uint64_t bfi_random_bits(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A stream of its own for every (seed, a, b). */
static inline uint64_t bfi_random_stream(uint64_t seed, uint64_t a, uint64_t b) {
    uint64_t state = seed;
    state = bfi_random_bits(&state) ^ a;
    state = bfi_random_bits(&state) ^ b;
    return bfi_random_bits(&state);
}

/* Multiple of 2^-24 in [0, 1). */
static inline float bfi_random_unit(uint64_t *state) {
    return (float)(bfi_random_bits(state) >> 40) * 0x1p-24f;
}

#endif
