#include "runtime/cache/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/blake2b.h"
#include "runtime/cache/answer.h"
#include "runtime/cache/sqlite.h"

/* "BFbc" in the header of the file, and the format of what is in it (numbers in this machine's byte
 * order: big-endian machines write another version). */
#define APPLICATION 0x42466263
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FORMAT 1
#else
#define FORMAT 1001
#endif

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

enum {
    WAIT_TO_READ = 10,   /* ms */
    WAIT_TO_OPEN = 5000, /* ms */
    EVICT_AT_ONCE = 16,
    TOUCHED_MOST = 256
};

static const char schema[] =
    "PRAGMA application_id=" TEXT(APPLICATION) "; PRAGMA user_version=" TEXT(FORMAT) ";"
    "CREATE TABLE entry(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, key BLOB NOT NULL,"
    " value BLOB NOT NULL, seal BLOB NOT NULL, used INTEGER NOT NULL);"
    "CREATE INDEX entry_used ON entry(used);";

typedef enum sql {
    SQL_FIND,
    SQL_ADD,
    SQL_TOUCH,
    SQL_EVICT,
    SQL_PAGES,
    SQL_FREE_PAGES,
    SQL_PAGE_SIZE,
    SQL_COUNT
} sql;

static const char *const texts[SQL_COUNT] = {
    [SQL_FIND] = "SELECT id, key, value, seal FROM entry WHERE name=?1",
    [SQL_ADD] = "INSERT OR REPLACE INTO entry(name,key,value,seal,used) VALUES(?1,?2,?3,?4,?5)",
    [SQL_TOUCH] = "UPDATE entry SET used=?2 WHERE id=?1",
    [SQL_EVICT] = "DELETE FROM entry WHERE id IN (SELECT id FROM entry ORDER BY used LIMIT ?1)",
    [SQL_PAGES] = "PRAGMA page_count",
    [SQL_FREE_PAGES] = "PRAGMA freelist_count",
    [SQL_PAGE_SIZE] = "PRAGMA page_size",
};

struct bfi_disk {
    pthread_mutex_t lock;
    bfi_dylib lib;
    bfi_sqlite api;
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    int64_t limit; /* bytes, 0: none */
    bool writable, failed;
    int64_t touched[TOUCHED_MOST]; /* rows used since the last write */
    int touched_count;
    char path[PATH_MAX];
};

/* What is at a path, judged by its first bytes alone: nothing of SQLite has seen it yet. */
typedef enum file_kind { FILE_NONE, FILE_EMPTY, FILE_OURS } file_kind;

static uint32_t big_endian(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bf_status fail_foreign(const char *path, bf_error *err) {
    return bfi_fail(err, BF_STATUS_PARSE,
                    "%s: not a cache file of boundflow; it is left alone: give another name", path);
}

/* sqlite.org/fileformat2.html, section 1.3: magic, user version at 60, application id at 68. */
static bf_status judge_file(const char *path, file_kind *kind, uint32_t *version, bf_error *err) {
    unsigned char head[100];
    size_t got = 0;
    *kind = FILE_NONE;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return BF_STATUS_OK;
    if (fd < 0) return bfi_fail(err, BF_STATUS_IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat info;
    ssize_t n = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    if (n == 0) {
        close(fd);
        return fail_foreign(path, err);
    }
    while (got < sizeof head && n > 0) {
        n = read(fd, head + got, sizeof head - got);
        if (n > 0) got += (size_t)n;
        if (n < 0 && errno == EINTR) n = 1;
    }
    int why = errno;
    close(fd);
    if (n < 0) return bfi_fail(err, BF_STATUS_IO, "%s: cannot read: %s", path, strerror(why));
    *kind = got == 0 ? FILE_EMPTY : FILE_OURS;
    if (got == 0) return BF_STATUS_OK;
    if (got < sizeof head || memcmp(head, "SQLite format 3", 16) != 0 ||
        big_endian(head + 68) != APPLICATION)
        return fail_foreign(path, err);
    *version = big_endian(head + 60);
    return BF_STATUS_OK;
}

static bf_status check_version(const char *path, file_kind kind, uint32_t version, bf_error *err) {
    if (kind != FILE_OURS || version == FORMAT) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                    "%s: cache format %u, this build uses %d; 'boundflow cache clear' makes it "
                    "anew, or give another name",
                    path, version, FORMAT);
}

/* SQLite's words for |code|. A file that turns out damaged is not asked again. */
static bf_status fail_sqlite(bfi_disk *d, int code, bf_error *err) {
    if (code == BFI_SQLITE_BUSY || code == BFI_SQLITE_LOCKED)
        return bfi_fail(err, BF_STATUS_TIMEOUT, "%s: in use by another process", d->path);
    if (code == BFI_SQLITE_NOMEM) return bfi_fail_memory(err);
    const char *words = d->db ? d->api.errmsg(d->db) : "out of memory";
    if (code == BFI_SQLITE_CORRUPT || code == BFI_SQLITE_NOTADB) {
        d->failed = true;
        return bfi_fail(err, BF_STATUS_PARSE,
                        "%s: damaged (%s); it is ignored: 'boundflow cache clear' makes it anew",
                        d->path, words);
    }
    return bfi_fail(err, BF_STATUS_IO, "%s: %s", d->path, words);
}

static bf_status run_text(bfi_disk *d, const char *text, bf_error *err) {
    int code = d->api.exec(d->db, text, NULL, NULL, NULL);
    return code == BFI_SQLITE_OK ? BF_STATUS_OK : fail_sqlite(d, code, err);
}

/* The first column of the first row as a number. */
static bf_status ask(bfi_disk *d, sqlite3_stmt *statement, int64_t *out, bf_error *err) {
    int code = d->api.step(statement);
    if (code == BFI_SQLITE_ROW) *out = d->api.column_int64(statement, 0);
    d->api.reset(statement);
    return code == BFI_SQLITE_ROW ? BF_STATUS_OK : fail_sqlite(d, code, err);
}

static bf_status prepare(bfi_disk *d, const char *text, sqlite3_stmt **out, bf_error *err) {
    int code = d->api.prepare_v2(d->db, text, -1, out, NULL);
    return code == BFI_SQLITE_OK ? BF_STATUS_OK : fail_sqlite(d, code, err);
}

static bf_status ask_text(bfi_disk *d, const char *text, int64_t *out, bf_error *err) {
    sqlite3_stmt *statement = NULL;
    bf_status status = prepare(d, text, &statement, err);
    if (status == BF_STATUS_OK) status = ask(d, statement, out, err);
    d->api.finalize(statement);
    return status;
}

/* Runs a statement that gives no rows. */
static bf_status finish(bfi_disk *d, sqlite3_stmt *statement, bf_error *err) {
    int code = d->api.step(statement);
    d->api.reset(statement);
    return code == BFI_SQLITE_DONE ? BF_STATUS_OK : fail_sqlite(d, code, err);
}

static bf_status count_tables(bfi_disk *d, int64_t *tables, bf_error *err) {
    return ask_text(d, "SELECT count(*) FROM sqlite_master", tables, err);
}

/* Makes the tables where there are none: in a new file, and in one whose maker was killed before it
 * had them. Two processes may come here at once: the second finds them. */
static bf_status create_tables(bfi_disk *d, bf_error *err) {
    int64_t tables = 0;
    bf_status status = count_tables(d, &tables, err);
    if (status != BF_STATUS_OK || tables > 0) return status;
    status = run_text(d, "BEGIN IMMEDIATE", err);
    if (status != BF_STATUS_OK) return status;
    status = count_tables(d, &tables, err);
    if (status == BF_STATUS_OK && tables == 0) status = run_text(d, schema, err);
    if (status == BF_STATUS_OK) return run_text(d, "COMMIT", err);
    run_text(d, "ROLLBACK", NULL);
    return status;
}

/* A write-ahead log lets readers and one writer work at once. Where it is not to be had (some
 * network file systems, another process just opening) the file works with what it has. */
static bf_status settle_modes(bfi_disk *d, bf_error *err) {
    if (d->writable) d->api.exec(d->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    return run_text(d, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=16384", err);
}

static bf_status connect(bfi_disk *d, bool create, bf_error *err) {
    char name[PATH_MAX + 2];
    snprintf(name, sizeof name, "%s%s", *d->path == '/' ? "" : "./", d->path);
    int flags = BFI_SQLITE_OPEN_NOMUTEX;
    flags |= d->writable ? BFI_SQLITE_OPEN_READWRITE : BFI_SQLITE_OPEN_READONLY;
    if (create) flags |= BFI_SQLITE_OPEN_CREATE;
    int code = d->api.open_v2(name, &d->db, flags, NULL);
    if (code != BFI_SQLITE_OK) return fail_sqlite(d, code, err);
    d->api.busy_timeout(d->db, WAIT_TO_OPEN);
    return BF_STATUS_OK;
}

/* Loads SQLite and connects to a file that is ours, or to be. */
static bf_status attach(const char *path, bool writable, bool create, bfi_disk **out,
                        bf_error *err) {
    if (strlen(path) >= PATH_MAX)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "cache file: the name is too long");
    bfi_disk *d = bfi_calloc(1, sizeof *d);
    if (!d) return bfi_fail_memory(err);
    if (pthread_mutex_init(&d->lock, NULL) != 0) {
        free(d);
        return bfi_fail_memory(err);
    }
    strcpy(d->path, path);
    d->writable = writable;
    bf_status status = bfi_sqlite_load(&d->lib, &d->api, err);
    if (status == BF_STATUS_OK) status = connect(d, create, err);
    if (status == BF_STATUS_OK && writable) status = create_tables(d, err);
    if (status == BF_STATUS_OK) status = settle_modes(d, err);
    if (status == BF_STATUS_OK) {
        *out = d;
        return status;
    }
    bfi_disk_close(d);
    return status;
}

bf_status bfi_disk_open(const char *path, int64_t limit, bool read_only, bfi_disk **out,
                        bf_error *err) {
    file_kind kind;
    uint32_t version = 0;
    bf_status status = judge_file(path, &kind, &version, err);
    if (status == BF_STATUS_OK) status = check_version(path, kind, version, err);
    if (status == BF_STATUS_OK && read_only && kind != FILE_OURS)
        status = bfi_fail(err, BF_STATUS_IO, "%s: no cache file to read", path);
    if (status != BF_STATUS_OK) return status;
    bfi_disk *d = NULL;
    status = attach(path, !read_only, kind != FILE_OURS, &d, err);
    if (status != BF_STATUS_OK) return status;
    d->limit = limit;
    for (int i = 0; i < SQL_COUNT && status == BF_STATUS_OK; i++)
        status = prepare(d, texts[i], &d->statements[i], err);
    if (status == BF_STATUS_OK) {
        *out = d;
        return status;
    }
    bfi_disk_close(d);
    return status;
}

static int64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bfi_digest seal_of(const bfi_record *r) {
    bfi_blake2b hash;
    uint64_t size = r->key_size;
    bfi_blake2b_start(&hash, sizeof(bfi_digest));
    bfi_blake2b_add(&hash, &size, sizeof size);
    bfi_blake2b_add(&hash, r->key, r->key_size);
    bfi_blake2b_add(&hash, r->value, r->value_size);
    return bfi_blake2b_digest(&hash);
}

static bfi_digest name_of(const void *key, size_t size) {
    bfi_blake2b hash;
    bfi_blake2b_start(&hash, sizeof(bfi_digest));
    bfi_blake2b_add(&hash, key, size);
    return bfi_blake2b_digest(&hash);
}

/* Key, value and seal of a row; false when the seal is not theirs. */
static bool row_record(const bfi_disk *d, sqlite3_stmt *row, int first, bfi_record *out) {
    *out = (bfi_record){.key = d->api.column_blob(row, first),
                        .key_size = (size_t)d->api.column_bytes(row, first),
                        .value = d->api.column_blob(row, first + 1),
                        .value_size = (size_t)d->api.column_bytes(row, first + 1)};
    const void *seal = d->api.column_blob(row, first + 2);
    if ((size_t)d->api.column_bytes(row, first + 2) != sizeof(bfi_digest) || !out->key)
        return false;
    bfi_digest right = seal_of(out);
    return memcmp(seal, right.bytes, sizeof right.bytes) == 0;
}

static bfi_disk_result take_row(bfi_disk *d, sqlite3_stmt *row, const void *key, size_t key_size,
                                void *value, size_t value_size) {
    bfi_record r;
    if (!row_record(d, row, 1, &r)) return BFI_DISK_DAMAGED;
    if (r.key_size != key_size || memcmp(r.key, key, key_size) != 0 || r.value_size != value_size)
        return BFI_DISK_ABSENT;
    if (value_size) memcpy(value, r.value, value_size);
    if (d->touched_count < TOUCHED_MOST)
        d->touched[d->touched_count++] = d->api.column_int64(row, 0);
    return BFI_DISK_FOUND;
}

static bfi_disk_result read_locked(bfi_disk *d, const void *key, size_t key_size, void *value,
                                   size_t value_size, bf_error *err) {
    if (d->failed) return BFI_DISK_ABSENT;
    bfi_digest name = name_of(key, key_size);
    sqlite3_stmt *s = d->statements[SQL_FIND];
    d->api.busy_timeout(d->db, WAIT_TO_READ);
    d->api.bind_blob(s, 1, name.bytes, (int)sizeof name.bytes, NULL);
    int code = d->api.step(s);
    bfi_disk_result result = BFI_DISK_ABSENT;
    if (code == BFI_SQLITE_ROW)
        result = take_row(d, s, key, key_size, value, value_size);
    else if (code != BFI_SQLITE_DONE && fail_sqlite(d, code, err) != BF_STATUS_TIMEOUT)
        result = BFI_DISK_FAILED;
    d->api.reset(s);
    return result;
}

bfi_disk_result bfi_disk_read(bfi_disk *d, const void *key, size_t key_size, void *value,
                              size_t value_size, bf_error *err) {
    pthread_mutex_lock(&d->lock);
    bfi_disk_result result = read_locked(d, key, key_size, value, value_size, err);
    pthread_mutex_unlock(&d->lock);
    return result;
}

static bf_status add_record(bfi_disk *d, const bfi_record *r, int64_t now, bf_error *err) {
    if (r->key_size > INT_MAX || r->value_size > INT_MAX) return BF_STATUS_OK; /* no SQLite blob */
    sqlite3_stmt *s = d->statements[SQL_ADD];
    bfi_digest name = name_of(r->key, r->key_size), seal = seal_of(r);
    d->api.bind_blob(s, 1, name.bytes, (int)sizeof name.bytes, NULL);
    d->api.bind_blob(s, 2, r->key, (int)r->key_size, NULL);
    d->api.bind_blob(s, 3, r->value, (int)r->value_size, NULL);
    d->api.bind_blob(s, 4, seal.bytes, (int)sizeof seal.bytes, NULL);
    d->api.bind_int64(s, 5, now);
    return finish(d, s, err);
}

static bf_status touch_rows(bfi_disk *d, int64_t now, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    sqlite3_stmt *s = d->statements[SQL_TOUCH];
    for (int i = 0; i < d->touched_count && status == BF_STATUS_OK; i++) {
        d->api.bind_int64(s, 1, d->touched[i]);
        d->api.bind_int64(s, 2, now);
        status = finish(d, s, err);
    }
    d->touched_count = 0;
    return status;
}

/* Bytes of pages in use: what the file would take without its free pages. */
static bf_status used_bytes(bfi_disk *d, int64_t *out, bf_error *err) {
    int64_t pages = 0, unused = 0, size = 0;
    bf_status status = ask(d, d->statements[SQL_PAGES], &pages, err);
    if (status == BF_STATUS_OK) status = ask(d, d->statements[SQL_FREE_PAGES], &unused, err);
    if (status == BF_STATUS_OK) status = ask(d, d->statements[SQL_PAGE_SIZE], &size, err);
    *out = (pages - unused) * size;
    return status;
}

static bf_status evict(bfi_disk *d, int64_t *evicted, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (int64_t bytes = 0, gone = 1; d->limit && status == BF_STATUS_OK && gone > 0;) {
        status = used_bytes(d, &bytes, err);
        if (status != BF_STATUS_OK || bytes <= d->limit) break;
        d->api.bind_int64(d->statements[SQL_EVICT], 1, EVICT_AT_ONCE);
        status = finish(d, d->statements[SQL_EVICT], err);
        if (status == BF_STATUS_OK) status = ask_text(d, "SELECT changes()", &gone, err);
        if (status == BF_STATUS_OK) *evicted += gone;
    }
    return status;
}

static bf_status write_locked(bfi_disk *d, const bfi_record *records, size_t count,
                              int64_t *evicted, bf_error *err) {
    int64_t now = microseconds(), gone = 0;
    bf_status status = run_text(d, "BEGIN IMMEDIATE", err);
    if (status != BF_STATUS_OK) return status;
    for (size_t i = 0; i < count && status == BF_STATUS_OK; i++)
        status = add_record(d, &records[i], now + (int64_t)i, err);
    if (status == BF_STATUS_OK) status = touch_rows(d, now, err);
    if (status == BF_STATUS_OK) status = evict(d, &gone, err);
    if (status == BF_STATUS_OK) status = run_text(d, "COMMIT", err);
    if (status != BF_STATUS_OK) run_text(d, "ROLLBACK", NULL);
    if (status == BF_STATUS_OK) *evicted += gone;
    return status;
}

bf_status bfi_disk_write(bfi_disk *d, const bfi_record *records, size_t count, int wait_ms,
                         int64_t *evicted, bf_error *err) {
    pthread_mutex_lock(&d->lock);
    bf_status status;
    if (d->failed) {
        status = bfi_fail(err, BF_STATUS_IO, "%s: damaged; it is ignored", d->path);
    } else {
        d->api.busy_timeout(d->db, wait_ms);
        status = write_locked(d, records, count, evicted, err);
    }
    pthread_mutex_unlock(&d->lock);
    return status;
}

/* What was read is noted when something is to be dropped soon: a process that only reads writes
 * nothing else, and need not wait for the disk. */
static void note_uses(bfi_disk *d) {
    int64_t bytes = 0, unused = 0;
    if (!d->touched_count || !d->writable || d->failed || !d->limit) return;
    d->api.busy_timeout(d->db, WAIT_TO_READ);
    if (used_bytes(d, &bytes, NULL) == BF_STATUS_OK && bytes > d->limit / 2)
        write_locked(d, NULL, 0, &unused, NULL);
}

void bfi_disk_close(bfi_disk *d) {
    if (!d) return;
    if (d->db) {
        note_uses(d);
        for (int i = 0; i < SQL_COUNT; i++) d->api.finalize(d->statements[i]);
        d->api.close(d->db); /* the last one folds the log into the file */
    }
    bfi_dylib_close(&d->lib);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* Files as a whole. */

static bf_status open_whole(const char *path, bfi_disk **out, bf_error *err) {
    file_kind kind;
    uint32_t version = 0;
    bf_status status = judge_file(path, &kind, &version, err);
    if (status == BF_STATUS_OK) status = check_version(path, kind, version, err);
    if (status == BF_STATUS_OK && kind != FILE_OURS)
        status = kind == FILE_NONE ? bfi_fail(err, BF_STATUS_IO, "%s: no such file", path)
                                   : fail_foreign(path, err);
    return status == BF_STATUS_OK ? attach(path, false, false, out, err) : status;
}

static bf_status count_entries(bfi_disk *d, bf_cache_file *out, bf_error *err) {
    sqlite3_stmt *s = NULL;
    bf_status status = prepare(d,
                               "SELECT count(*), sum(length(value)), sum(length(key)), "
                               "min(used), max(used) FROM entry",
                               &s, err);
    int code = status == BF_STATUS_OK ? d->api.step(s) : BFI_SQLITE_OK;
    if (code == BFI_SQLITE_ROW) {
        out->entries = d->api.column_int64(s, 0);
        out->value_bytes = d->api.column_int64(s, 1);
        out->key_bytes = d->api.column_int64(s, 2);
        out->oldest = (double)d->api.column_int64(s, 3) * 1e-6;
        out->newest = (double)d->api.column_int64(s, 4) * 1e-6;
    } else if (status == BF_STATUS_OK) {
        status = fail_sqlite(d, code, err);
    }
    d->api.finalize(s);
    int64_t pages = 0, size = 0;
    if (status == BF_STATUS_OK) status = ask_text(d, "PRAGMA page_count", &pages, err);
    if (status == BF_STATUS_OK) status = ask_text(d, "PRAGMA page_size", &size, err);
    out->bytes = pages * size;
    return status;
}

bf_status bf_cache_file_info(const char *path, bf_cache_file *out, bf_error *err) {
    bfi_disk *d = NULL;
    *out = (bf_cache_file){0};
    bf_status status = open_whole(path, &d, err);
    if (status == BF_STATUS_OK) status = count_entries(d, out, err);
    bfi_disk_close(d);
    return status;
}

/* SQLite's own check of its pages and indices: one row "ok", or what is wrong. */
static bf_status check_pages(bfi_disk *d, bf_error *err) {
    sqlite3_stmt *s = NULL;
    bf_status status = prepare(d, "PRAGMA integrity_check(1)", &s, err);
    int code = status == BF_STATUS_OK ? d->api.step(s) : BFI_SQLITE_OK;
    if (status == BF_STATUS_OK && code != BFI_SQLITE_ROW) status = fail_sqlite(d, code, err);
    const char *words = status == BF_STATUS_OK ? (const char *)d->api.column_text(s, 0) : "ok";
    if (!words || strcmp(words, "ok") != 0)
        status = bfi_fail(err, BF_STATUS_PARSE,
                          "%s: damaged (%.200s); 'boundflow cache clear' makes it anew", d->path,
                          words ? words : "no memory to say what");
    d->api.finalize(s);
    return status;
}

static bool entry_is_whole(const bfi_disk *d, sqlite3_stmt *row) {
    bfi_record r;
    if (!row_record(d, row, 1, &r) || !bfi_answer_sane(r.value, r.value_size)) return false;
    bfi_digest right = name_of(r.key, r.key_size);
    const void *name = d->api.column_blob(row, 0);
    return (size_t)d->api.column_bytes(row, 0) == sizeof right.bytes &&
           memcmp(name, right.bytes, sizeof right.bytes) == 0;
}

static bf_status check_entries(bfi_disk *d, bf_cache_file *out, bf_error *err) {
    sqlite3_stmt *s = NULL;
    bf_status status = prepare(d, "SELECT name, key, value, seal FROM entry", &s, err);
    int code = BFI_SQLITE_DONE;
    while (status == BF_STATUS_OK && (code = d->api.step(s)) == BFI_SQLITE_ROW)
        out->damaged += !entry_is_whole(d, s);
    if (status == BF_STATUS_OK && code != BFI_SQLITE_DONE) status = fail_sqlite(d, code, err);
    d->api.finalize(s);
    if (status == BF_STATUS_OK && out->damaged)
        status = bfi_fail(err, BF_STATUS_PARSE,
                          "%s: %lld of %lld entries are damaged; they are never used, and replaced "
                          "when computed again",
                          d->path, (long long)out->damaged, (long long)out->entries);
    return status;
}

bf_status bf_cache_file_check(const char *path, bf_cache_file *out, bf_error *err) {
    bfi_disk *d = NULL;
    *out = (bf_cache_file){0};
    bf_status status = open_whole(path, &d, err);
    if (status == BF_STATUS_OK) status = check_pages(d, err);
    if (status == BF_STATUS_OK) status = count_entries(d, out, err);
    if (status == BF_STATUS_OK) status = check_entries(d, out, err);
    bfi_disk_close(d);
    return status;
}

static bf_status empty(const char *path, bf_error *err) {
    bfi_disk *d = NULL;
    bf_status status = attach(path, true, false, &d, err);
    if (status == BF_STATUS_OK) status = check_pages(d, err);
    if (status == BF_STATUS_OK) status = run_text(d, "DELETE FROM entry", err);
    if (status == BF_STATUS_OK) status = run_text(d, "VACUUM", err);
    bfi_disk_close(d);
    return status;
}

/* Takes the file and its log out of the way and makes a new one. A process that has it open keeps
 * the old one to itself. */
static bf_status replace(const char *path, bf_error *err) {
    static const char *const endings[] = {"-wal", "-shm", "-journal", ""};
    char name[PATH_MAX + 16];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        if (unlink(name) != 0 && errno != ENOENT)
            return bfi_fail(err, BF_STATUS_IO, "%s: cannot remove: %s", name, strerror(errno));
    }
    bfi_disk *d = NULL;
    bf_status status = attach(path, true, true, &d, err);
    bfi_disk_close(d);
    return status;
}

bf_status bf_cache_file_clear(const char *path, bf_error *err) {
    file_kind kind;
    uint32_t version = 0;
    bf_status status = judge_file(path, &kind, &version, err);
    if (status != BF_STATUS_OK) return status;
    if (kind == FILE_NONE) return bfi_fail(err, BF_STATUS_IO, "%s: no such file", path);
    if (kind == FILE_OURS && version == FORMAT) {
        status = empty(path, err);
        if (status != BF_STATUS_PARSE) return status;
    }
    return replace(path, err);
}
