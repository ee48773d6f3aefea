/* Rewriting a graph: a view of it (bfi_graph_view) whose nodes are replaced and changed in
 * topological order, with the number of readers of every value at hand, and a record of where each
 * value of the old graph is found afterwards. Also the notes that passes leave behind. */
#ifndef BFI_PLAN_REWRITE_H
#define BFI_PLAN_REWRITE_H

#include "ir/graph.h"

/* What a pass did, or did not do and why. |node| is an id of the pass's input graph. */
typedef struct bfi_pass_note {
    int node;
    char text[240];
} bfi_pass_note;

typedef struct bfi_pass_notes {
    bfi_pass_note *items;
    int count;
    size_t capacity;
} bfi_pass_notes;

/* False when out of memory. */
bool bfi_pass_notes_add(bfi_pass_notes *notes, int node, const char *fmt, ...) BF_PRINTF(3, 4);
void bfi_pass_notes_clear(bfi_pass_notes *notes);

typedef struct bfi_rewrite {
    bfi_graph *graph; /* owned until bfi_rewrite_finish */
    int count;        /* nodes */
    int *replaced;    /* value to read instead of value i */
    int *readers;     /* uses of value i by live nodes, the output counting as one */
    int *holder;      /* value that holds what value i held at first, or -1 */
} bfi_rewrite;

/* Starts with the live part of |in|, which must be valid and outlive the result. False: out of
 * memory. bfi_rewrite_clear is due in both cases. */
bool bfi_rewrite_begin(bfi_rewrite *rewrite, const bfi_graph *in);
void bfi_rewrite_clear(bfi_rewrite *rewrite);

/* To be called for every node in order, before it is looked at: follows replaced inputs. */
void bfi_rewrite_enter(bfi_rewrite *rewrite, int id);

/* Readers of |id| read |by| < |id| from now on; the two hold the same elements. */
void bfi_rewrite_replace(bfi_rewrite *rewrite, int id, int by);
/* Input |k| of |id| becomes |value|. */
void bfi_rewrite_set_input(bfi_rewrite *rewrite, int id, int k, int value);
/* Node |id| becomes a constant with the |count| elements |data| (malloc'ed, now the graph's). */
void bfi_rewrite_to_const(bfi_rewrite *rewrite, int id, double *data);
/* Value |id| no longer holds what the old graph had there. */
void bfi_rewrite_changed(bfi_rewrite *rewrite, int id);

/* Removes what is dead and hands over the graph; |value_of| (malloc'ed, one per node of the old
 * graph) tells which value of it holds each old value, element by element, -1: none. False: out of
 * memory. */
bool bfi_rewrite_finish(bfi_rewrite *rewrite, bfi_graph **out, int **value_of);

#endif
