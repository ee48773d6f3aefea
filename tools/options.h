/* The command line's options: the table of options.def and its parser. */
#ifndef BFI_TOOLS_OPTIONS_H
#define BFI_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum bfi_command {
#define BF_COMMAND(ID, name, positional, fewest, most, completion, summary) BFI_COMMAND_##ID,
#include "options.def"
    BFI_COMMAND_COUNT
} bfi_command;

typedef enum bfi_option {
#define BF_OPTION(ID, name, kind, arguments, choices, fallback, commands, help) BFI_OPTION_##ID,
#include "options.def"
    BFI_OPTION_COUNT
} bfi_option;

typedef enum bfi_kind {
    BFI_KIND_FLAG,
    BFI_KIND_FILE,
    BFI_KIND_TEXT,
    BFI_KIND_COUNT,
    BFI_KIND_REAL,
    BFI_KIND_SECONDS,
    BFI_KIND_BYTES,
    BFI_KIND_CHOICE,
    BFI_KIND_CHOICES
} bfi_kind;

typedef struct bfi_command_info {
    const char *name;
    const char *positional; /* "" when it takes none */
    int fewest, most;
    const char *completion; /* "file", or the words it may be */
    const char *summary;
} bfi_command_info;

typedef struct bfi_option_info {
    const char *name; /* without the dashes */
    bfi_kind kind;
    const char *arguments; /* "", "E" or "LO HI" */
    const char *choices;   /* words of a CHOICE or CHOICES */
    const char *fallback;
    unsigned commands; /* bit per bfi_command */
    const char *help;
} bfi_option_info;

extern const bfi_command_info bfi_commands[BFI_COMMAND_COUNT];
extern const bfi_option_info bfi_options[BFI_OPTION_COUNT];

typedef struct bfi_arguments {
    bfi_command command;
    bool given[BFI_OPTION_COUNT];
    const char *text[BFI_OPTION_COUNT][2]; /* as written */
    double real[BFI_OPTION_COUNT][2];      /* REAL, SECONDS: nearest double */
    int64_t count[BFI_OPTION_COUNT];       /* COUNT, BYTES: the number; CHOICE: index of the word;
                                              CHOICES: bit per word */
    const char *positional, *second;       /* NULL when absent */
} bfi_arguments;

/* How many words |option| takes: 0, 1 or 2. */
int bfi_option_arity(bfi_option option);

/* The command named |name|, or BFI_COMMAND_COUNT. */
bfi_command bfi_command_find(const char *name);

/* Parses what follows the command: `--name value`, `--name=value`, `-h`, positionals; `--` ends the
 * options. |args| points into |argv|. Errors are one line that names the nearest option there is.
 * With
 * --help or --version given, nothing is missed and later errors do not matter. */
bf_status bfi_arguments_parse(bfi_command command, int argc, char *const *argv, bfi_arguments *args,
                              bf_error *err);

/* BF_STATUS_INVALID_ARGUMENT with the nearest command in the message. */
bf_status bfi_command_unknown(const char *name, bf_error *err);

/* Word |index| of the words of |words|: start and length; NULL past the end. */
const char *bfi_word(const char *words, int index, int *length);

/* Edits (insert, delete, change, swap neighbours) that turn |a| into |b|; both under 64 characters.
 */
int bfi_edit_distance(const char *a, const char *b);

#endif
