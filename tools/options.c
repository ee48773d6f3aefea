#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST 63 /* of the words compared by edit distance */

const bfi_command_info bfi_commands[BFI_COMMAND_COUNT] = {
#define BF_COMMAND(ID, name, positional, fewest, most, completion, summary) \
    {#name, positional, fewest, most, completion, summary},
#include "options.def"
};

#define ON(ID) (1u << BFI_COMMAND_##ID)
#define EVERYWHERE ((1u << BFI_COMMAND_COUNT) - 1)

const bfi_option_info bfi_options[BFI_OPTION_COUNT] = {
#define BF_OPTION(ID, name, kind, arguments, choices, fallback, commands, help) \
    {name, BFI_KIND_##kind, arguments, choices, fallback, commands, help},
#include "options.def"
};

const char *bfi_word(const char *words, int index, int *length) {
    for (;; index--) {
        while (*words == ' ') words++;
        if (!*words) return NULL;
        *length = (int)strcspn(words, " ");
        if (index == 0) return words;
        words += *length;
    }
}

int bfi_option_arity(bfi_option option) {
    int arity = 0, length;
    while (bfi_word(bfi_options[option].arguments, arity, &length)) arity++;
    return arity;
}

bfi_command bfi_command_find(const char *name) {
    for (int c = 0; c < BFI_COMMAND_COUNT; c++)
        if (strcmp(bfi_commands[c].name, name) == 0) return (bfi_command)c;
    return BFI_COMMAND_COUNT;
}

static int least(int a, int b) { return a < b ? a : b; }

/* Optimal string alignment distance. */
int bfi_edit_distance(const char *a, const char *b) {
    size_t m = strlen(a), n = strlen(b);
    if (m > LONGEST || n > LONGEST) return LONGEST;
    int rows[3][LONGEST + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= n; j++) last[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        now[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        int *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[n];
}

/* A beginning of |name| counts as near, however much is missing. */
static int distance_to(const char *typed, const char *name) {
    size_t n = strlen(typed);
    if (n >= 2 && strncmp(typed, name, n) == 0) return 1;
    return bfi_edit_distance(typed, name);
}

bf_status bfi_command_unknown(const char *name, bf_error *err) {
    int best = 0, best_distance = LONGEST + 1;
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        int d = distance_to(name, bfi_commands[c].name);
        if (d < best_distance) best = c, best_distance = d;
    }
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                    "unknown command '%.60s'; did you mean '%s'? (boundflow help lists them)", name,
                    bfi_commands[best].name);
}

static bf_status unknown_option(bfi_command command, const char *typed, bf_error *err) {
    int best = BFI_OPTION_HELP, best_distance = LONGEST + 1;
    for (int o = 0; o < BFI_OPTION_COUNT; o++) {
        if (!(bfi_options[o].commands >> command & 1)) continue;
        int d = distance_to(typed, bfi_options[o].name);
        if (d < best_distance) best = o, best_distance = d;
    }
    return bfi_fail(
        err, BF_STATUS_INVALID_ARGUMENT,
        "unknown option --%.60s; the nearest one is --%s (boundflow help %s lists them)", typed,
        bfi_options[best].name, bfi_commands[command].name);
}

/* The row of |command| with that name, else another command's, else -1. */
static int find_option(bfi_command command, const char *name, size_t length) {
    int found = -1;
    for (int o = 0; o < BFI_OPTION_COUNT; o++) {
        if (strlen(bfi_options[o].name) != length || memcmp(bfi_options[o].name, name, length) != 0)
            continue;
        if (found < 0 || bfi_options[o].commands >> command & 1) found = o;
    }
    return found;
}

static bf_status wrong_command(bfi_command command, int option, bf_error *err) {
    const char *name = bfi_options[option].name;
    char owners[128] = "";
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        int row = find_option((bfi_command)c, name, strlen(name));
        if (!(bfi_options[row].commands >> c & 1)) continue;
        size_t used = strlen(owners);
        snprintf(owners + used, sizeof owners - used, "%s%s", used ? ", " : "",
                 bfi_commands[c].name);
    }
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s is no option of %s, but of: %s", name,
                    bfi_commands[command].name, owners);
}

static bf_status bad_value(int option, const char *text, const char *wanted, bf_error *err) {
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s: '%.80s' is not %s",
                    bfi_options[option].name, text, wanted);
}

static bf_status read_real(int option, const char *text, double *out, bf_error *err) {
    char *end;
    *out = strtod(text, &end);
    if (end == text || *end || !isfinite(*out))
        return bad_value(option, text, "a finite number", err);
    if (bfi_options[option].kind == BFI_KIND_SECONDS && *out < 0)
        return bad_value(option, text, "a number of seconds >= 0", err);
    return BF_STATUS_OK;
}

static bf_status read_count(int option, const char *text, int64_t *out, bf_error *err) {
    bool bytes = bfi_options[option].kind == BFI_KIND_BYTES;
    const char *wanted =
        bytes ? "a whole number of bytes (K, M or G may follow)" : "a whole number >= 0";
    int64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value))
            return bad_value(option, text, "small enough for 64 bits", err);
    if (p == text) return bad_value(option, text, wanted, err);
    static const char suffixes[] = "KkMmGg";
    const char *suffix = bytes && *p ? strchr(suffixes, *p) : NULL;
    if (suffix) {
        if (__builtin_mul_overflow(value, (int64_t)1024 << 10 * ((suffix - suffixes) / 2), &value))
            return bad_value(option, text, "small enough for 64 bits", err);
        p++;
    }
    if (*p) return bad_value(option, text, wanted, err);
    *out = value;
    return BF_STATUS_OK;
}

/* |text| as one of the option's words: its index in *|out|. */
static bf_status read_choice(int option, const char *text, int64_t *out, bf_error *err) {
    const char *word, *best = NULL;
    int length, best_length = 0, best_distance = LONGEST + 1;
    for (int i = 0; (word = bfi_word(bfi_options[option].choices, i, &length)); i++) {
        char name[LONGEST + 1];
        snprintf(name, sizeof name, "%.*s", length, word);
        int d = distance_to(text, name);
        if (strcmp(text, name) == 0) {
            *out = i;
            return BF_STATUS_OK;
        }
        if (d < best_distance) best = word, best_length = length, best_distance = d;
    }
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                    "--%s: '%.60s' is none of: %s; the nearest one is %.*s",
                    bfi_options[option].name, text, bfi_options[option].choices, best_length, best);
}

/* Words with commas between them: their bits. */
static bf_status read_choices(int option, const char *text, int64_t *out, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (*out = 0; status == BF_STATUS_OK;) {
        size_t length = strcspn(text, ",");
        char word[LONGEST + 1];
        int64_t index = 0;
        snprintf(word, sizeof word, "%.*s", (int)(length < LONGEST ? length : LONGEST), text);
        status = read_choice(option, word, &index, err);
        *out |= (int64_t)1 << index;
        if (!text[length]) break;
        text += length + 1;
    }
    return status;
}

static bf_status read_value(int option, int word, const char *text, bfi_arguments *args,
                            bf_error *err) {
    args->text[option][word] = text;
    switch (bfi_options[option].kind) {
        case BFI_KIND_REAL:
        case BFI_KIND_SECONDS:
            return read_real(option, text, &args->real[option][word], err);
        case BFI_KIND_COUNT:
        case BFI_KIND_BYTES:
            return read_count(option, text, &args->count[option], err);
        case BFI_KIND_CHOICE:
            return read_choice(option, text, &args->count[option], err);
        case BFI_KIND_CHOICES:
            return read_choices(option, text, &args->count[option], err);
        case BFI_KIND_FILE:
        case BFI_KIND_TEXT:
            if (!*text) return bad_value(option, text, "a name: it is empty", err);
            return BF_STATUS_OK;
        case BFI_KIND_FLAG:
            break;
    }
    return BF_STATUS_OK;
}

/* An option where a value should be: almost always a value that was forgotten. */
static bool looks_like_option(bfi_command command, const char *text) {
    if (strncmp(text, "--", 2) != 0) return false;
    return !text[2] || find_option(command, text + 2, strcspn(text + 2, "=")) >= 0;
}

/* Reads the option argv[*at]; *at ends on its last word. */
static bf_status read_option(int argc, char *const *argv, int *at, bfi_arguments *args,
                             bf_error *err) {
    const char *typed =
        strcmp(argv[*at], "-h") == 0 ? "help" : argv[*at] + 1 + (argv[*at][1] == '-');
    size_t length = strcspn(typed, "=");
    const char *attached = typed[length] ? typed + length + 1 : NULL;
    int option = find_option(args->command, typed, length);
    if (option < 0 || (typed == argv[*at] + 1)) {
        char name[LONGEST + 1];
        snprintf(name, sizeof name, "%.*s", (int)(length < LONGEST ? length : LONGEST), typed);
        return unknown_option(args->command, name, err);
    }
    const bfi_option_info *info = &bfi_options[option];
    if (!(info->commands >> args->command & 1)) return wrong_command(args->command, option, err);
    int arity = bfi_option_arity((bfi_option)option);
    if (attached && arity == 0)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s takes no value", info->name);
    if (args->given[option] && info->kind != BFI_KIND_FLAG)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s is given twice", info->name);
    args->given[option] = true;
    bf_status status = BF_STATUS_OK;
    for (int word = 0; word < arity && status == BF_STATUS_OK; word++) {
        const char *text = word == 0 ? attached : NULL;
        if (!text && (*at + 1 >= argc || looks_like_option(args->command, argv[*at + 1])))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--%s needs %s", info->name,
                            info->arguments);
        if (!text) text = argv[++*at];
        status = read_value(option, word, text, args, err);
    }
    return status;
}

bf_status bfi_arguments_parse(bfi_command command, int argc, char *const *argv, bfi_arguments *args,
                              bf_error *err) {
    *args = (bfi_arguments){.command = command};
    const bfi_command_info *info = &bfi_commands[command];
    int positionals = 0;
    bool only_positionals = false;
    for (int i = 0; i < argc; i++) {
        if (!only_positionals && strcmp(argv[i], "--") == 0) {
            only_positionals = true;
        } else if (!only_positionals && argv[i][0] == '-' && argv[i][1]) {
            bf_status status = read_option(argc, argv, &i, args, err);
            if (status != BF_STATUS_OK) return status;
            if (args->given[BFI_OPTION_HELP] || args->given[BFI_OPTION_VERSION])
                return BF_STATUS_OK;
        } else if (positionals++ < info->most) {
            *(positionals == 1 ? &args->positional : &args->second) = argv[i];
        } else {
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "'%.80s' is one argument too many: %s takes %s", argv[i], info->name,
                            info->most ? info->positional : "none");
        }
    }
    if (positionals < info->fewest)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "%s is missing (see boundflow help %s)",
                        info->positional, info->name);
    return BF_STATUS_OK;
}
