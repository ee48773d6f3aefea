/* The content of graph nodes as a hash: everything that changes what a node computes, and nothing
 * else (names and sources do not count). */
#ifndef BFI_IR_CONTENT_H
#define BFI_IR_CONTENT_H

#include "base/blake2b.h"
#include "ir/graph.h"

/* Adds one number, so that lists of numbers hash apart. */
void bfi_content_integer(bfi_blake2b *hash, int64_t value);
void bfi_content_double(bfi_blake2b *hash, double value);
void bfi_content_digest(bfi_blake2b *hash, const bfi_digest *digest);

/* Adds op, shape, attributes (every row of text_attr.def) and constants of |node|; its inputs are
 * the caller's. Costs one pass over the weights. */
void bfi_content_node(bfi_blake2b *hash, const bfi_node *node);

#endif
