#include "runtime/cache/answer.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

static inline uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }

static inline uint64_t word(const unsigned char *at) {
    uint64_t w;
    memcpy(&w, at, sizeof w);
    return w;
}

/* Four chains of multiply and rotate over 32 bytes at a time; every step is a bijection of its
 * chain. */
static uint64_t mix(uint64_t seed, const void *data, size_t size) {
    const uint64_t p = 0x9e3779b97f4a7c15u, q = 0xc2b2ae3d27d4eb4fu;
    const unsigned char *at = data;
    uint64_t a = seed ^ size * q, b = rotate(seed, 32) + p, c = a + q, d = b ^ q;
    for (; size >= 32; at += 32, size -= 32) {
        a = rotate((a ^ word(at)) * p, 29);
        b = rotate((b ^ word(at + 8)) * q, 31);
        c = rotate((c ^ word(at + 16)) * p, 29);
        d = rotate((d ^ word(at + 24)) * q, 31);
    }
    for (; size >= 8; at += 8, size -= 8) a = rotate((a ^ word(at)) * p, 29);
    for (; size; at++, size--) a = rotate((a ^ *at) * p, 29);
    a ^= rotate(b, 17);
    a = rotate(a * p, 29) ^ rotate(c, 23);
    a = rotate(a * q, 31) ^ rotate(d, 11);
    a = (a ^ a >> 32) * p;
    a = (a ^ a >> 29) * q;
    return a ^ a >> 32;
}

int bfi_split_order(const void *a, const void *b) {
    const bfi_split_name *x = a, *y = b;
    for (int i = 0; i < 2; i++)
        if (x->value[i] != y->value[i]) return x->value[i] < y->value[i] ? -1 : 1;
    if (x->neuron != y->neuron) return x->neuron < y->neuron ? -1 : 1;
    return (x->point > y->point) - (x->point < y->point);
}

static size_t box_bytes(const bfi_region *r) { return (size_t)r->inputs * sizeof *r->lo; }
static size_t split_bytes(const bfi_region *r) {
    return (size_t)r->split_count * sizeof *r->splits;
}
static size_t spec_bytes(const bfi_question *q) { return (size_t)q->spec_count * sizeof *q->spec; }
static int64_t enough_count(const bfi_question *q) { return q->enough ? q->count : 0; }
static size_t enough_bytes(const bfi_question *q) {
    return (size_t)enough_count(q) * sizeof *q->enough;
}

uint64_t bfi_region_hash(const bfi_region *region) {
    uint64_t hash = mix(1, region->lo, box_bytes(region));
    return mix(hash, region->hi, box_bytes(region));
}

uint64_t bfi_question_group(const bfi_question *q) {
    uint64_t hash = word(q->what->bytes) + q->parts; /* already random */
    return mix(mix(hash, q->spec, spec_bytes(q)), q->enough, enough_bytes(q));
}

uint64_t bfi_question_hash(const bfi_question *q) {
    const uint64_t rest[3] = {bfi_question_group(q), q->region->hash, q->derived};
    return mix(mix(2, rest, sizeof rest), q->region->splits, split_bytes(q->region));
}

static int part_count(unsigned parts) { return __builtin_popcount(parts); }

bool bfi_question_sizes(const bfi_question *q, size_t *key, size_t *answer) {
    assert(q->parts && q->parts < 1u << BFI_PARTS && q->count >= 0 && q->spec_count >= 0);
    size_t box, spec, enough, splits;
    return bfi_mul_size((size_t)q->region->inputs, 2 * sizeof(double), &box) &&
           bfi_mul_size((size_t)q->spec_count, sizeof(double), &spec) &&
           bfi_mul_size((size_t)enough_count(q), sizeof(double), &enough) &&
           bfi_mul_size((size_t)q->region->split_count, sizeof(bfi_split_name), &splits) &&
           bfi_add_size(sizeof(bfi_key_head), box, key) && bfi_add_size(*key, spec, key) &&
           bfi_add_size(*key, enough, key) && bfi_add_size(*key, splits, key) &&
           bfi_mul_size((size_t)q->count, (size_t)part_count(q->parts) * sizeof(double), answer);
}

static bfi_key_head head_of(const bfi_question *q) {
    return (bfi_key_head){.what = *q->what,
                          .inputs = q->region->inputs,
                          .spec_count = q->spec_count,
                          .split_count = q->region->split_count,
                          .enough_count = enough_count(q),
                          .count = q->count,
                          .parts = q->parts,
                          .derived = q->derived};
}

/* memcpy and memcmp that take NULL for nothing. */
static char *put(char *at, const void *data, size_t size) {
    if (size) memcpy(at, data, size);
    return at + size;
}
static bool same(const char **at, const void *data, size_t size) {
    bool equal = size == 0 || memcmp(*at, data, size) == 0;
    *at += size;
    return equal;
}

void bfi_question_write(const bfi_question *q, void *key) {
    bfi_key_head head = head_of(q);
    char *at = put(key, &head, sizeof head);
    at = put(at, q->region->lo, box_bytes(q->region));
    at = put(at, q->region->hi, box_bytes(q->region));
    at = put(at, q->spec, spec_bytes(q));
    at = put(at, q->enough, enough_bytes(q));
    put(at, q->region->splits, split_bytes(q->region));
}

bool bfi_question_equal(const bfi_question *q, const void *key, size_t key_size) {
    bfi_key_head head = head_of(q);
    size_t size, unused;
    const char *at = key;
    if (!bfi_question_sizes(q, &size, &unused) || size != key_size) return false;
    return same(&at, &head, sizeof head) && same(&at, q->region->lo, box_bytes(q->region)) &&
           same(&at, q->region->hi, box_bytes(q->region)) && same(&at, q->spec, spec_bytes(q)) &&
           same(&at, q->enough, enough_bytes(q)) &&
           same(&at, q->region->splits, split_bytes(q->region));
}

/* Every one of |few| is among |many|; both ascending. */
static bool subset(const bfi_split_name *few, int64_t few_count, const bfi_split_name *many,
                   int64_t many_count) {
    int64_t j = 0;
    for (int64_t i = 0; i < few_count; i++, j++) {
        while (j < many_count && bfi_split_order(&many[j], &few[i]) < 0) j++;
        if (j == many_count || bfi_split_order(&many[j], &few[i]) != 0) return false;
    }
    return true;
}

bool bfi_question_inside(const bfi_question *q, const void *key, size_t key_size) {
    const bfi_region *r = q->region;
    const bfi_key_head *head = key;
    assert(key_size >= sizeof *head);
    (void)key_size;
    if (memcmp(&head->what, q->what, sizeof head->what) != 0 || head->inputs != r->inputs ||
        head->spec_count != q->spec_count || head->count != q->count || head->parts != q->parts ||
        head->enough_count != enough_count(q) || head->split_count > r->split_count)
        return false;
    const double *lo = (const double *)(const void *)(head + 1), *hi = lo + r->inputs;
    for (int64_t i = 0; i < r->inputs; i++)
        if (!(lo[i] <= r->lo[i] && r->hi[i] <= hi[i])) return false;
    const char *at = (const char *)(hi + r->inputs);
    return same(&at, q->spec, spec_bytes(q)) && same(&at, q->enough, enough_bytes(q)) &&
           subset((const bfi_split_name *)(const void *)at, head->split_count, r->splits,
                  r->split_count);
}

void bfi_answer_write(const bfi_question *q, const bfi_answer *answer, void *out) {
    char *at = out;
    for (int i = 0; i < BFI_PARTS; i++)
        if (q->parts >> i & 1) at = put(at, answer->part[i], (size_t)q->count * sizeof(double));
}

void bfi_answer_read(const bfi_question *q, const void *from, const bfi_answer *answer) {
    const char *at = from;
    size_t size = (size_t)q->count * sizeof(double);
    for (int i = 0; i < BFI_PARTS; i++) {
        if (!(q->parts >> i & 1)) continue;
        if (size) memcpy(answer->part[i], at, size);
        at += size;
    }
}

bool bfi_answer_meet(const bfi_question *q, const void *from, const bfi_answer *answer) {
    const double *at = from, *known[BFI_PARTS] = {NULL};
    for (int i = 0; i < BFI_PARTS; i++)
        if (q->parts >> i & 1) known[i] = at, at += q->count;
    double *lower = known[0] ? answer->part[0] : NULL, *upper = known[1] ? answer->part[1] : NULL;
    double *error = known[0] && known[2] ? answer->part[2] : NULL;
    bool changed = false;
    for (int64_t j = 0; j < q->count; j++) {
        if (lower && known[0][j] > lower[j] && !(upper && known[0][j] > upper[j])) {
            lower[j] = known[0][j], changed = true;
            if (error) error[j] = known[2][j];
        }
        if (upper && known[1][j] < upper[j] && !(lower && known[1][j] < lower[j]))
            upper[j] = known[1][j], changed = true;
    }
    return changed;
}

bool bfi_answer_sane(const void *from, size_t size) {
    const double *at = from;
    for (size_t i = 0; i < size / sizeof *at; i++)
        if (at[i] != at[i]) return false;
    return true;
}
