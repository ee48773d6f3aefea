/* The functions of SQLite 3 that the cache file needs, opened at run time. Prototypes as in the
 * SQLite C interface (sqlite.org/c3ref), version 3.7.10 or later. */
#ifndef BFI_RUNTIME_CACHE_SQLITE_H
#define BFI_RUNTIME_CACHE_SQLITE_H

#include <stdint.h>

#include "base/dylib.h"

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;

enum {
    BFI_SQLITE_OK = 0,
    BFI_SQLITE_BUSY = 5,
    BFI_SQLITE_LOCKED = 6,
    BFI_SQLITE_NOMEM = 7,
    BFI_SQLITE_CORRUPT = 11,
    BFI_SQLITE_NOTADB = 26,
    BFI_SQLITE_ROW = 100,
    BFI_SQLITE_DONE = 101
};
enum {
    BFI_SQLITE_OPEN_READONLY = 0x1,
    BFI_SQLITE_OPEN_READWRITE = 0x2,
    BFI_SQLITE_OPEN_CREATE = 0x4,
    BFI_SQLITE_OPEN_NOMUTEX = 0x8000
};

/* X(result, name after sqlite3_, arguments) */
#define BFI_SQLITE_FUNCTIONS(X)                                                                   \
    X(int, open_v2, (const char *path, sqlite3 **db, int flags, const char *vfs))                 \
    X(int, close, (sqlite3 * db))                                                                 \
    X(int, exec,                                                                                  \
      (sqlite3 * db, const char *sql, int (*row)(void *, int, char **, char **), void *user,      \
       char **message))                                                                           \
    X(int, prepare_v2,                                                                            \
      (sqlite3 * db, const char *sql, int size, sqlite3_stmt **out, const char **tail))           \
    X(int, bind_blob,                                                                             \
      (sqlite3_stmt * statement, int index, const void *data, int size, void (*release)(void *))) \
    X(int, bind_int64, (sqlite3_stmt * statement, int index, int64_t value))                      \
    X(int, step, (sqlite3_stmt * statement))                                                      \
    X(int, reset, (sqlite3_stmt * statement))                                                     \
    X(const void *, column_blob, (sqlite3_stmt * statement, int column))                          \
    X(int, column_bytes, (sqlite3_stmt * statement, int column))                                  \
    X(int64_t, column_int64, (sqlite3_stmt * statement, int column))                              \
    X(const unsigned char *, column_text, (sqlite3_stmt * statement, int column))                 \
    X(int, finalize, (sqlite3_stmt * statement))                                                  \
    X(const char *, errmsg, (sqlite3 * db))                                                       \
    X(int, busy_timeout, (sqlite3 * db, int ms))

/* Nothing but function pointers, in the order of the list. */
typedef struct bfi_sqlite {
#define BFI_SQLITE_MEMBER(result, name, arguments) result(*name) arguments;
    BFI_SQLITE_FUNCTIONS(BFI_SQLITE_MEMBER)
#undef BFI_SQLITE_MEMBER
} bfi_sqlite;

/* Opens the library and fills |out|; the caller closes |lib| after the last call. */
bf_status bfi_sqlite_load(bfi_dylib *lib, bfi_sqlite *out, bf_error *err);

#endif
