#include "base/blake2b.h"

#include <assert.h>
#include <string.h>

static const uint64_t initial[8] = {0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu,
                                    0xa54ff53a5f1d36f1u, 0x510e527fade682d1u, 0x9b05688c2b3e6c1fu,
                                    0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u};

static const uint8_t sigma[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                      {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                      {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                      {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                      {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                      {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                      {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                      {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                      {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                      {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

static inline uint64_t load64(const uint8_t *at) {
    uint64_t v;
    memcpy(&v, at, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint64_t rotate(uint64_t x, int n) { return x >> n | x << (64 - n); }

/* RFC 7693, section 3.1: the mixing function G. */
#define MIX(a, b, c, d, x, y)           \
    do {                                \
        v[a] += v[b] + (x);             \
        v[d] = rotate(v[d] ^ v[a], 32); \
        v[c] += v[d];                   \
        v[b] = rotate(v[b] ^ v[c], 24); \
        v[a] += v[b] + (y);             \
        v[d] = rotate(v[d] ^ v[a], 16); \
        v[c] += v[d];                   \
        v[b] = rotate(v[b] ^ v[c], 63); \
    } while (0)

/* One round; with |s| a constant row of sigma the message words are known when compiled. */
#define ROUND(s)                               \
    do {                                       \
        MIX(0, 4, 8, 12, m[s[0]], m[s[1]]);    \
        MIX(1, 5, 9, 13, m[s[2]], m[s[3]]);    \
        MIX(2, 6, 10, 14, m[s[4]], m[s[5]]);   \
        MIX(3, 7, 11, 15, m[s[6]], m[s[7]]);   \
        MIX(0, 5, 10, 15, m[s[8]], m[s[9]]);   \
        MIX(1, 6, 11, 12, m[s[10]], m[s[11]]); \
        MIX(2, 7, 8, 13, m[s[12]], m[s[13]]);  \
        MIX(3, 4, 9, 14, m[s[14]], m[s[15]]);  \
    } while (0)

/* RFC 7693, section 3.2: the compression function F. */
static void compress(bfi_blake2b *hash, const uint8_t *block, uint64_t last) {
    uint64_t v[16], m[16];
    for (int i = 0; i < 16; i++) m[i] = load64(block + 8 * i);
    for (int i = 0; i < 8; i++) v[i] = hash->state[i], v[i + 8] = initial[i];
    v[12] ^= hash->total[0];
    v[13] ^= hash->total[1];
    v[14] ^= last;
    ROUND(sigma[0]);
    ROUND(sigma[1]);
    ROUND(sigma[2]);
    ROUND(sigma[3]);
    ROUND(sigma[4]);
    ROUND(sigma[5]);
    ROUND(sigma[6]);
    ROUND(sigma[7]);
    ROUND(sigma[8]);
    ROUND(sigma[9]);
    ROUND(sigma[0]);
    ROUND(sigma[1]);
    for (int i = 0; i < 8; i++) hash->state[i] ^= v[i] ^ v[i + 8];
}

static void count(bfi_blake2b *hash, size_t size) {
    hash->total[0] += size;
    hash->total[1] += hash->total[0] < size;
}

void bfi_blake2b_start(bfi_blake2b *hash, size_t size) {
    assert(size >= 1 && size <= 64);
    *hash = (bfi_blake2b){.size = size};
    memcpy(hash->state, initial, sizeof initial);
    hash->state[0] ^= 0x01010000u ^ size;
}

/* The last block is marked, so a full block is compressed only when more comes. */
void bfi_blake2b_add(bfi_blake2b *hash, const void *data, size_t size) {
    const uint8_t *at = data;
    if (size == 0) return;
    size_t room = sizeof hash->block - hash->used;
    if (size > room) {
        memcpy(hash->block + hash->used, at, room);
        count(hash, sizeof hash->block);
        compress(hash, hash->block, 0);
        at += room, size -= room, hash->used = 0;
        for (; size > sizeof hash->block; at += sizeof hash->block, size -= sizeof hash->block) {
            count(hash, sizeof hash->block);
            compress(hash, at, 0);
        }
    }
    memcpy(hash->block + hash->used, at, size);
    hash->used += size;
}

void bfi_blake2b_end(bfi_blake2b *hash, void *out) {
    memset(hash->block + hash->used, 0, sizeof hash->block - hash->used);
    count(hash, hash->used);
    compress(hash, hash->block, UINT64_MAX);
    uint8_t *bytes = out;
    for (size_t i = 0; i < hash->size; i++)
        bytes[i] = (uint8_t)(hash->state[i / 8] >> (8 * (i % 8)));
}
