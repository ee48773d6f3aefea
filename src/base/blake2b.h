/* BLAKE2b, RFC 7693, unkeyed: names for contents, collision-resistant. About 1 GB/s. */
#ifndef BFI_BASE_BLAKE2B_H
#define BFI_BASE_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

/* 256 bits of BLAKE2b: the name of some content. */
typedef struct bfi_digest {
    uint8_t bytes[32];
} bfi_digest;

/* A hash under way; no pointers, so it may be copied to go on from one prefix twice. */
typedef struct bfi_blake2b {
    uint64_t state[8];
    uint64_t total[2]; /* bytes taken in, 128 bits */
    uint8_t block[128];
    size_t used; /* of block */
    size_t size; /* of the digest */
} bfi_blake2b;

/* |size| bytes of digest, 1 to 64. */
void bfi_blake2b_start(bfi_blake2b *hash, size_t size);
void bfi_blake2b_add(bfi_blake2b *hash, const void *data, size_t size);
/* Writes the |size| bytes asked for at the start; |hash| is used up. */
void bfi_blake2b_end(bfi_blake2b *hash, void *out);

/* The same for a bfi_digest. */
static inline bfi_digest bfi_blake2b_digest(bfi_blake2b *hash) {
    bfi_digest digest;
    bfi_blake2b_end(hash, digest.bytes);
    return digest;
}

#endif
