/* Hidden bounds by small searches: a neuron z of a hidden layer is the functional, up and down, and
 * neurons of layers before it are split, best first, until the search has so many leaves. The least
 * bound of its leaves holds for all of the box, so it becomes the neuron's; layers after it are
 * bounded again, then it is their turn. Mixed-integer programs per neuron do the same for other
 * tools (Tjeng et al. 2019, arXiv:1711.07356, section 4.1); here they are lanes of beta-CROWN
 * (runtime/nodes.h), those of all neurons of a layer together.
 *
 * The bounds become a base of the root's workspace, the *ground* of the search (bases.h). Whether
 * it pays to go on, with more leaves, depends on counts of nodes and on what was gained, not on
 * time. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_SHARPEN_H
#define BFI_VERIFY_BAB_SHARPEN_H

#include "verify/bab/bases.h"

typedef struct bfi_sharpening {
    int leaves;   /* of every search so far; 0: there was none */
    double spent; /* in nodes */
    double worth; /* of the share that it may take */
    double gain;  /* of the last one: part of the unstable neurons' widths that it took away */
} bfi_sharpening;

typedef struct bfi_sharpen_request {
    bfi_root *root;
    bfi_bases *bases;
    int64_t outputs; /* of the network */
    int64_t memory;  /* bytes that it may take a part of; 0: no limit */
    double deadline;
    void (*report)(void *user, int64_t nodes); /* so many more have been bounded; may be NULL */
    void *user;
} bfi_sharpen_request;

/* Nothing has been sharpened. */
void bfi_sharpening_clear(bfi_sharpening *sharpening);

/* What it takes of |memory| bytes at most, beside the workspace. */
int64_t bfi_sharpening_part(int64_t memory);

/* It pays to sharpen, after the nodes that |bases| counted. */
bool bfi_sharpening_due(const bfi_sharpening *sharpening, const bfi_sharpen_request *request);

/* Sharpens the hidden bounds of the ground, which becomes another box of the workspace, with more
 * leaves than the last time. */
bf_status bfi_sharpening_run(bfi_sharpening *sharpening, const bfi_sharpen_request *request,
                             bf_error *err);

/* Sharpens as often as it takes until searches have had |leaves| leaves. */
bf_status bfi_sharpening_repeat(bfi_sharpening *sharpening, const bfi_sharpen_request *request,
                                int leaves, bf_error *err);

/* So much was gained that a search had better begin again. */
bool bfi_sharpening_gained(const bfi_sharpening *sharpening);

#endif
