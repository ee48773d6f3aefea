/* What can be asked of this verifier, in the words of the VNN-LIB standard's solver interface. */
#include "cli.h"
#include "frontend/onnx.h"

/* One answer per option of the command; NULL: computed. Theories are those of the standard's
 * chapter on theories and logics, weaker ones first. */
static const struct {
    bfi_option option;
    const char *answer;
} answers[] = {
    {BFI_OPTION_ONNX_OPSETS, NULL},
    {BFI_OPTION_ONNX_TYPES, "float32\nreal"},
    {BFI_OPTION_ONNX_OPERATORS, NULL},
    {BFI_OPTION_VNNLIB_VERSIONS, "1.0\n2.1"},
    {BFI_OPTION_HIDDEN_NODES, "NH"},
    {BFI_OPTION_MULTIPLE_IO, "SIO\nMIO"},
    {BFI_OPTION_MULTIPLE_NETWORKS, "SNET"},
    {BFI_OPTION_NODE_COMPARISONS, "SNC\nMNC"},
    {BFI_OPTION_ARITHMETIC, "BND\nOUTC\nLIN"},
    {BFI_OPTION_DISJUNCTIVE, "false"},
    {BFI_OPTION_SERIALISE, "false"},
};

enum { ANSWERS = sizeof answers / sizeof *answers };

static void print_opsets(void) {
    int64_t least, most;
    bfi_onnx_opsets(&least, &most);
    printf("%lld\n%lld\n", (long long)least, (long long)most);
}

static void print_operators(void) {
    const char *name;
    for (size_t i = 0; (name = bfi_onnx_operator(i)); i++) puts(name);
}

static void answer(size_t index) {
    if (answers[index].answer)
        puts(answers[index].answer);
    else if (answers[index].option == BFI_OPTION_ONNX_OPSETS)
        print_opsets();
    else
        print_operators();
}

int bfi_cmd_supports(const bfi_arguments *args) {
    bf_error err;
    size_t asked = 0;
    int count = 0;
    for (size_t i = 0; i < ANSWERS; i++)
        if (args->given[answers[i].option]) asked = i, count++;
    if (count == 1) {
        answer(asked);
        return 0;
    }
    bf_status status =
        bfi_fail(&err, BF_STATUS_INVALID_ARGUMENT,
                 count ? "one question at a time: give one option"
                       : "which capability? e.g. boundflow supports --onnx-operators");
    return bfi_cli_end(BFI_COMMAND_SUPPORTS, status, &err);
}
