/* Symbol visibility and C++ linkage of the public API. */
#ifndef BOUNDFLOW_EXPORT_H
#define BOUNDFLOW_EXPORT_H

#if defined(__GNUC__)
#define BF_API __attribute__((visibility("default")))
#define BF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define BF_NODISCARD __attribute__((warn_unused_result))
#else
#define BF_API
#define BF_PRINTF(fmt, args)
#define BF_NODISCARD
#endif

#endif
