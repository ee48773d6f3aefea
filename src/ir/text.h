/* The text form of the IRs, `.bfir`: prints and parses back to the same object, bit for bit.
 *
 * docs/ir.md has the grammar. Printing appends to a block in memory: |*out| is NULL with |*size| 0,
 * or a malloc block of |*size| bytes and a NUL behind them that an earlier call made; afterwards it
 * is longer, and the caller's to free(). After a failure (memory only) what was there stays.
 *
 * Parsing takes text that nobody trusts: |size| bytes, no NUL needed. It ends with the validators,
 * so that the rest of the library may rely on what comes out. Errors are one line,
 * "name:line:column: what is wrong"; on failure nothing is left allocated and |*out| is NULL (a
 * program: empty). Memory used is a small multiple of |size|. All functions are thread-safe and
 * independent of the locale. */
#ifndef BFI_IR_TEXT_H
#define BFI_IR_TEXT_H

#include "ir/bound.h"
#include "ir/task.h"

enum {
    BFI_TEXT_FULL = 0,
    /* Lists of more than BFI_TEXT_ELIDE_ABOVE numbers become <elided 50x64>: for people, such a
     * text does not parse back. */
    BFI_TEXT_ELIDE = 1
};
#define BFI_TEXT_ELIDE_ABOVE 16

/* Any graph that follows graph.h, valid or not, so that a pass can be looked at half way. */
bf_status bfi_graph_print(const bfi_graph *graph, unsigned flags, char **out, size_t *size,
                          bf_error *err);

/* Any program, with or without lifetimes and storage. |graph| is where its nodes live; with it,
 * comments tell their names (NULL: none). */
bf_status bfi_program_print(const bfi_program *program, const bfi_graph *graph, char **out,
                            size_t *size, bf_error *err);

/* Any task graph that follows task.h. |graph| is where its values live; with it, comments tell
 * their names (NULL: none). */
bf_status bfi_task_graph_print(const bfi_task_graph *tasks, const bfi_graph *graph, char **out,
                               size_t *size, bf_error *err);

/* Exactly one graph. Besides bfi_graph_validate, the output must depend on the input, and a node
 * may have only the attributes and constants of its op. |name| stands in messages. */
bf_status bfi_graph_parse(const char *text, size_t size, const char *name, bfi_graph **out,
                          bf_error *err);

/* Exactly one program over |graph|, into |*out| (overwritten; bfi_program_clear it). Lifetimes or
 * offsets may be missing, for all buffers at once; what is there is checked against the ops. */
bf_status bfi_program_parse(const char *text, size_t size, const char *name, const bfi_graph *graph,
                            bfi_program *out, bf_error *err);

/* Exactly one task graph over |graph| and |programs|, into |*out| (overwritten;
 * bfi_task_graph_clear it). Besides bfi_task_graph_validate: steps suit the kind of their task,
 * come after what they read, and none comes twice; a program bounds the value of its step. */
bf_status bfi_task_graph_parse(const char *text, size_t size, const char *name,
                               const bfi_graph *graph, const bfi_program *programs,
                               int program_count, bfi_task_graph *out, bf_error *err);

/* A whole file: one graph, then any number of programs over it, then the tasks, if any. */
typedef struct bfi_module {
    bfi_graph *graph;
    bfi_program *programs;
    int count;
    size_t capacity;
    bfi_task_graph *tasks; /* NULL: none */
} bfi_module;

bf_status bfi_module_parse(const char *text, size_t size, const char *name, bfi_module **out,
                           bf_error *err);
void bfi_module_free(bfi_module *module);

#endif
