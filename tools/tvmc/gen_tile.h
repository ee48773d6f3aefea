/* Register tiles: sums side by side, in the order of base/fp.h, and the loops that cover an array
 * with them. */
#ifndef TVMC_GEN_TILE_H
#define TVMC_GEN_TILE_H

#include "generate.h"

enum { TILE_SUMS = BFI_TVM_TILE_SUMS };

/* |count| vectors of sums over |terms| terms. Up to one block the accumulators are the sums. */
typedef struct tile_sums {
    gen *g;
    int count;
    bool totals;
    any acc[TILE_SUMS], total[TILE_SUMS];
} tile_sums;

/* Declares the sums in the current block and sets them to zero. */
void tile_begin(tile_sums *s, gen *g, int count, int64_t terms);
/* A block of terms begins, ends (its sum joins the total). */
void tile_block_begin(const tile_sums *s);
void tile_block_end(const tile_sums *s);
/* acc[i] += x * y */
void tile_add(const tile_sums *s, int i, any x, any y);
/* The same where |skip| is false. */
void tile_add_unless(const tile_sums *s, int i, any skip, any x, any y);
/* The finished sum. */
any tile_sum(const tile_sums *s, int i);

/* Terms 0..count-1 in blocks: |term| is called with the index of a term, once or twice (whole
 * blocks and the short one), inside the loops. */
void tile_terms(const tile_sums *s, int64_t count, void (*term)(const void *self, any k),
                const void *self);

/* Sizes of the fewest tiles of at most |most| that cover |rows|, as equal as can be; their number.
 */
int tile_split(int64_t rows, int64_t most, int64_t sizes[16]);

/* A kernel over lanes: tiles of outputs by vectors of lanes. */
typedef struct lanes_kernel lanes_kernel;
struct lanes_kernel {
    gen *g;
    any v;           /* the argument; its place in the list is tir_param's */
    any ls;          /* elements between neighbours of a lanes array */
    any low, high;   /* vectors of lanes to work on */
    bool even;       /* their number is surely a multiple of the widest tile's */
    int64_t outputs; /* of all panels */
    any p0, p1;      /* panels to work on */
    const void *self;
    /* Around the panels of a tile of lanes; either may be NULL. */
    void (*begin)(lanes_kernel *k, any lane, int vecs);
    void (*end)(lanes_kernel *k, any lane, int vecs);
    /* |rows| outputs from |row| of panel |p| on, lanes from |lane| on. */
    void (*tile)(lanes_kernel *k, any p, any row, int rows, any lane, int vecs);
    /* After a panel; may be NULL. */
    void (*panel_end)(lanes_kernel *k, any p);
};

/* Makes v, ls and the range of all lanes. */
void lanes_begin(lanes_kernel *k, gen *g);
/* Emits the loops: tiles of lanes outside (their inputs stay in cache), panels inside. */
void lanes_run(lanes_kernel *k, tir_loop_kind kind);

/* acc += w[at_w + row] * in[at_in + vec * width] for a tile of |rows| x |vecs|, row-major. */
void lanes_term(const tile_sums *s, int rows, int vecs, any w, any at_w, any in, any at_in);
/* out[at + row * stride + vec * width] = sums. */
void lanes_store(const tile_sums *s, int rows, int vecs, any out, any at, any stride);

#endif
