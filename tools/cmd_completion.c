#include <stdio.h>
#include <string.h>

#include "cli.h"

static bool belongs(int option, int command) { return bfi_options[option].commands >> command & 1; }

static bool takes_file(const bfi_command_info *info) {
    return strcmp(info->completion, "file") == 0;
}

/* The word that is completed first is followed by a file. */
static bool then_file(const bfi_command_info *info) { return info->most > 1; }

/* Words that may follow an option; NULL where that is a file or free text. */
static const char *choices_of(int option) {
    bfi_kind kind = bfi_options[option].kind;
    return kind == BFI_KIND_CHOICE || kind == BFI_KIND_CHOICES ? bfi_options[option].choices : NULL;
}

/* A help text inside single quotes: characters that shells or zsh specs would read become blanks.
 */
static void print_quoted(const char *text) {
    for (; *text; text++) {
        if (strchr("'[]:\\", *text))
            putchar(' ');
        else
            putchar(*text);
    }
}

static void print_bash(void) {
    puts(
        "# boundflow completion for bash: source <(boundflow completion bash)\n"
        "_boundflow() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "    local cmd=${COMP_WORDS[1]} words=\n"
        "    COMPREPLY=()\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then");
    fputs("        words=\"--help --name --version", stdout);
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) printf(" %s", bfi_commands[c].name);
    puts(
        "\"\n"
        "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "        return\n"
        "    fi\n"
        "    case $prev in");
    for (int o = 0; o < BFI_OPTION_COUNT; o++) {
        if (choices_of(o))
            printf("    --%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n",
                   bfi_options[o].name, choices_of(o));
        else if (bfi_options[o].kind == BFI_KIND_FILE)
            printf("    --%s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n",
                   bfi_options[o].name);
        else if (bfi_options[o].kind != BFI_KIND_FLAG)
            printf("    --%s) return ;;\n", bfi_options[o].name);
    }
    puts(
        "    esac\n"
        "    case $cmd in");
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        printf("    %s) words=\"", bfi_commands[c].name);
        for (int o = 0; o < BFI_OPTION_COUNT; o++)
            if (belongs(o, c)) printf("--%s ", bfi_options[o].name);
        printf("%s\" ;;\n", takes_file(&bfi_commands[c]) ? "" : bfi_commands[c].completion);
    }
    puts(
        "    esac\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "    [ ${#COMPREPLY[@]} -gt 0 ] || case $cmd in");
    fputs("    ", stdout);
    bool first = true;
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        if (!takes_file(&bfi_commands[c]) && !then_file(&bfi_commands[c])) continue;
        printf("%s%s", first ? "" : "|", bfi_commands[c].name);
        first = false;
    }
    puts(
        ") COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
        "    esac\n"
        "}\n"
        "complete -o filenames -F _boundflow boundflow");
}

static void print_zsh_option(int option) {
    const bfi_option_info *info = &bfi_options[option];
    printf("        '--%s[", info->name);
    print_quoted(info->help);
    putchar(']');
    const char *word;
    int length;
    for (int i = 0; (word = bfi_word(info->arguments, i, &length)); i++) {
        printf(":%.*s:", length, word);
        if (choices_of(option))
            printf("(%s)", choices_of(option));
        else if (info->kind == BFI_KIND_FILE)
            fputs("_files", stdout);
    }
    puts("' \\");
}

static void print_zsh(void) {
    puts(
        "#compdef boundflow\n"
        "# boundflow completion for zsh: save it as _boundflow in a folder of fpath\n"
        "_boundflow() {\n"
        "    local -a commands=(");
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        printf("        '%s:", bfi_commands[c].name);
        print_quoted(bfi_commands[c].summary);
        puts("'");
    }
    puts(
        "    )\n"
        "    if (( CURRENT == 2 )); then\n"
        "        _describe command commands\n"
        "        return\n"
        "    fi\n"
        "    local command=$words[2]\n"
        "    shift words\n"
        "    (( CURRENT-- ))\n"
        "    case $command in");
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        printf("    %s) _arguments \\\n", bfi_commands[c].name);
        for (int o = 0; o < BFI_OPTION_COUNT; o++)
            if (belongs(o, c)) print_zsh_option(o);
        if (takes_file(&bfi_commands[c]))
            puts("        '1:file:_files' ;;");
        else if (*bfi_commands[c].completion)
            printf("        '1:word:(%s)'%s ;;\n", bfi_commands[c].completion,
                   then_file(&bfi_commands[c]) ? " '2:file:_files'" : "");
        else
            puts("        ;;");
    }
    puts(
        "    esac\n"
        "}\n"
        "if [ \"$funcstack[1]\" = _boundflow ]; then _boundflow \"$@\"; else compdef _boundflow "
        "boundflow; fi");
}

static void print_fish(void) {
    puts(
        "# boundflow completion for fish: save it as ~/.config/fish/completions/boundflow.fish\n"
        "complete -c boundflow -n __fish_use_subcommand -f\n"
        "complete -c boundflow -n __fish_use_subcommand -l help -d 'this text'\n"
        "complete -c boundflow -n __fish_use_subcommand -l version -d 'the version'");
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        const bfi_command_info *info = &bfi_commands[c];
        printf("complete -c boundflow -n __fish_use_subcommand -a %s -d '", info->name);
        print_quoted(info->summary);
        puts("'");
        if (!takes_file(info))
            printf("complete -c boundflow -n '__fish_seen_subcommand_from %s'%s -a '%s'\n",
                   info->name, then_file(info) ? "" : " -f", info->completion);
        for (int o = 0; o < BFI_OPTION_COUNT; o++) {
            if (!belongs(o, c)) continue;
            printf("complete -c boundflow -n '__fish_seen_subcommand_from %s' -l %s", info->name,
                   bfi_options[o].name);
            if (choices_of(o))
                printf(" -x -a '%s'", choices_of(o));
            else if (bfi_options[o].kind == BFI_KIND_FILE)
                fputs(" -r -F", stdout);
            else if (bfi_options[o].kind != BFI_KIND_FLAG)
                fputs(" -x", stdout);
            fputs(" -d '", stdout);
            print_quoted(bfi_options[o].help);
            puts("'");
        }
    }
}

int bfi_cmd_completion(const bfi_arguments *args) {
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(args->positional, shells[i].shell) != 0) continue;
        shells[i].print();
        return 0;
    }
    bf_error err;
    return bfi_cli_end(BFI_COMMAND_COMPLETION,
                       bfi_fail(&err, BF_STATUS_INVALID_ARGUMENT,
                                "unknown shell '%.60s': there is completion for bash, zsh and fish",
                                args->positional),
                       &err);
}
