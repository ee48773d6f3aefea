/* Help texts, made from options.def and status.def. */
#ifndef BFI_TOOLS_HELP_H
#define BFI_TOOLS_HELP_H

#include <stdio.h>

#include "options.h"

/* The bare version and name, as the VNN-LIB standard has --version and --name. */
void bfi_help_version(FILE *out);
void bfi_help_name(FILE *out);
void bfi_help_overview(FILE *out);
void bfi_help_command(FILE *out, bfi_command command);
void bfi_help_exit_codes(FILE *out);

#endif
