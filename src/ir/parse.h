/* The blocks of `.bfir`, for parse.c. Each reads from its first word to behind its closing brace.
 */
#ifndef BFI_IR_PARSE_H
#define BFI_IR_PARSE_H

#include "ir/bound.h"
#include "ir/lex.h"
#include "ir/task.h"

/* A validator of the first |count| items of a block, in order; |err| may be NULL. */
typedef bf_status (*bfi_validate_first)(const void *block, int count, bf_error *err);

/* The item that |validate| refuses, by bisection, given that it refuses all |count| of them. */
int bfi_parse_refused(const void *block, int count, bfi_validate_first validate);

/* On failure |*out| is NULL. */
bf_status bfi_parse_graph_block(bfi_lexer *lexer, bfi_graph **out);
/* On failure |*out| is empty. */
bf_status bfi_parse_program_block(bfi_lexer *lexer, const bfi_graph *graph, bfi_program *out);

/* On failure |*out| is empty. */
bf_status bfi_parse_task_block(bfi_lexer *lexer, const bfi_graph *graph,
                               const bfi_program *programs, int program_count, bfi_task_graph *out);

#endif
