#ifndef BOUNDFLOW_VERSION_H
#define BOUNDFLOW_VERSION_H

#include "boundflow/export.h"

#define BF_VERSION "0.1.0"

/* Version of the library that is linked, "major.minor.patch". */
BF_API const char *bf_version(void);

#endif
