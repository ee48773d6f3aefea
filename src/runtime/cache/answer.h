/* Questions and answers: what a cache is asked, what it keeps, and their bytes.
 *
 * The key of a question, as stored and compared, in memory and on disk: a bfi_key_head, then the
 * numbers lo, hi, the rows of C, where optimising them stops, and the splits. An answer: one
 * double[count] per part. All in the machine's byte order (the version of the file tells). */
#ifndef BFI_RUNTIME_CACHE_ANSWER_H
#define BFI_RUNTIME_CACHE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blake2b.h"

/* One split: a number of a value is at or above (below) a point. The value is named by the start of
 * its identity, so numbering does not matter. */
typedef struct bfi_split_name {
    uint64_t value[2];
    int64_t neuron; /* 2 * index + 1 for "below" */
    double point;
} bfi_split_name;

/* The set of inputs that an answer is about. */
typedef struct bfi_region {
    int64_t inputs;
    const double *lo, *hi;
    const bfi_split_name *splits; /* ascending (bfi_split_order), no two the same */
    int64_t split_count;
    uint64_t hash; /* of the box: bfi_region_hash */
} bfi_region;

enum { BFI_PART_LOWER = 1, BFI_PART_UPPER = 2, BFI_PART_ERROR = 4, BFI_PARTS = 3 };

typedef struct bfi_question {
    const bfi_digest *what; /* identity of the value, or of the spec */
    const bfi_region *region;
    const double *spec;   /* rows of C; NULL: none */
    int64_t spec_count;   /* numbers */
    const double *enough; /* lower bounds at which optimising stops, |count|; NULL: it does not */
    int64_t count;        /* numbers per part of the answer */
    unsigned parts;       /* BFI_PART_ bits */
    bool brief;   /* sooner computed than found in a file: for memory alone; no part of the key */
    bool derived; /* depends on containment hits: other bits than computing alone */
} bfi_question;

typedef struct bfi_answer {
    double *part[BFI_PARTS]; /* lower, upper, error of lower; NULL: not a part */
} bfi_answer;

typedef struct bfi_key_head {
    bfi_digest what;
    int64_t inputs, spec_count, split_count, enough_count, count;
    uint32_t parts, derived;
} bfi_key_head;

/* Order of splits for qsort: by value, neuron, point. */
int bfi_split_order(const void *a, const void *b);

/* Of the box alone: the same for all layers of a run. */
uint64_t bfi_region_hash(const bfi_region *region);
/* Of the whole question, its region's hash included; fast, not collision-resistant. */
uint64_t bfi_question_hash(const bfi_question *question);
/* Of what questions about any region share. */
uint64_t bfi_question_group(const bfi_question *question);

/* Bytes of key and answer; false when they do not fit in a size_t. */
bool bfi_question_sizes(const bfi_question *question, size_t *key, size_t *answer);

/* Writes the key (bfi_question_sizes bytes, 8-byte aligned). */
void bfi_question_write(const bfi_question *question, void *key);
/* True when |key| was written from an equal question. */
bool bfi_question_equal(const bfi_question *question, const void *key, size_t key_size);
/* True when |key| was written from a question like |question| about a region that contains this
 * one: a larger box, no splits but these. Derived or not does not matter. */
bool bfi_question_inside(const bfi_question *question, const void *key, size_t key_size);

/* The parts one after another, and back. */
void bfi_answer_write(const bfi_question *question, const bfi_answer *answer, void *out);
void bfi_answer_read(const bfi_question *question, const void *from, const bfi_answer *answer);
/* Keeps the better bound of each pair: larger lower (with its error), smaller upper. A bound that
 * would cross the other side stays. True when something changed. */
bool bfi_answer_meet(const bfi_question *question, const void *from, const bfi_answer *answer);
/* Bounds as runs leave them: no NaN in |size| bytes of doubles. */
bool bfi_answer_sane(const void *from, size_t size);

#endif
