/* Files of models/ that `demo` carries with it; made by cmake/embed.cmake at build time. */
#ifndef BFI_TOOLS_DEMO_DATA_H
#define BFI_TOOLS_DEMO_DATA_H

#include <stddef.h>

extern const unsigned char bfi_demo_model[], bfi_demo_proved[], bfi_demo_refuted[];
extern const size_t bfi_demo_model_size, bfi_demo_proved_size, bfi_demo_refuted_size;

#endif
