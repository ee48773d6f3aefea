/* Bounds that were computed before: in the workspace, in memory, in a file.
 *
 * A cache answers a bounded layer or a spec when everything that its bounds depend on is the same:
 * the network up to there (a hash of its ops and weights), the options that change numbers, the
 * box, the splits and the rows of C. The last three are stored and compared as they are, so an
 * answer never rests on a hash of them. A hit has the bits that computing would have given: results
 * do not depend on the cache, unless |contain| is set.
 *
 * A cache is attached to a session (bf_session_set_cache) and used by every run of it; it may serve
 * several sessions at once. All functions are thread-safe. */
#ifndef BOUNDFLOW_CACHE_H
#define BOUNDFLOW_CACHE_H

#include <stdint.h>

#include "boundflow/session.h"

typedef struct bf_cache bf_cache;

typedef struct bf_cache_options {
    int64_t bytes;    /* of memory, tables included; 0: only what a workspace holds anyway, and the
                         file */
    const char *path; /* SQLite file that keeps bounds between processes; NULL: none */
    int64_t disk_bytes; /* most bytes of the file (its log beside it may add up to 64 MiB); 0: no
                           limit */
    int read_only;      /* 1: the file is read, never written or created */
    int contain; /* 1: bounds of a larger box that is in memory are met with fresh ones: bounds hold
                    and may be tighter than without, and then depend on what was asked before */
} bf_cache_options;

/* 256 MiB, no file, 4 GiB of it if there is one, written, no containment. */
BF_API bf_cache_options bf_cache_options_default(void);

/* A file that cannot be used (foreign, damaged, of another version, no SQLite library) is left as
 * it is: the cache then works in memory and says why in bf_cache_stats.problem. Errors:
 * BF_STATUS_INVALID_ARGUMENT (negative sizes), BF_STATUS_OUT_OF_MEMORY. */
BF_API bf_status bf_cache_create(const bf_cache_options *options, bf_cache **out, bf_error *err);

/* Writes what waits for the file. NULL is allowed. No session may be using the cache. */
BF_API void bf_cache_free(bf_cache *cache);

/* Writes what waits for the file (which else happens every two seconds, or MiBs, of runs). */
BF_API bf_status bf_cache_flush(bf_cache *cache, bf_error *err);

/* Runs of |session| use |cache| from now on; NULL: none. The cache must outlive that. No call may
 * be using the session. */
BF_API void bf_session_set_cache(bf_session *session, bf_cache *cache);

/* The cache of |session|, NULL: none. */
BF_API bf_cache *bf_session_cache(const bf_session *session);

typedef struct bf_cache_stats {
#define BF_CACHE_STAT(field, meaning) int64_t field;
#include "boundflow/cache_stat.def"
#undef BF_CACHE_STAT
    int64_t problems;  /* things that went wrong with the file */
    char problem[512]; /* the first of them, one line; "" */
} bf_cache_stats;

BF_API bf_cache_stats bf_cache_stats_now(bf_cache *cache);

/* Row |index| of the counters above: name and meaning; NULL past the end. */
BF_API const char *bf_cache_stat_name(int index);
BF_API const char *bf_cache_stat_meaning(int index);
BF_API int64_t bf_cache_stat_value(const bf_cache_stats *stats, int index);

/* What a cache file holds. */
typedef struct bf_cache_file {
    int64_t entries;
    int64_t damaged;       /* by bf_cache_file_check alone */
    int64_t value_bytes;   /* bounds */
    int64_t key_bytes;     /* boxes, splits, rows */
    int64_t bytes;         /* of the file without its log */
    double oldest, newest; /* last uses, seconds since 1970; 0: no entries */
} bf_cache_file;

/* Counts. Errors: BF_STATUS_IO (no such file, no SQLite library, cannot be read), BF_STATUS_PARSE
 * (foreign or damaged), BF_STATUS_UNSUPPORTED (of another version). */
BF_API bf_status bf_cache_file_info(const char *path, bf_cache_file *out, bf_error *err);

/* Reads everything and compares every checksum; BF_STATUS_PARSE says what is damaged first. */
BF_API bf_status bf_cache_file_check(const char *path, bf_cache_file *out, bf_error *err);

/* Empties the file, or makes a damaged or older one anew; a file that is no cache is an error and
 * left alone. */
BF_API bf_status bf_cache_file_clear(const char *path, bf_error *err);

#endif
