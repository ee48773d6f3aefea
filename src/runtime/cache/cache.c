#include "runtime/cache/cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <string.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "runtime/cache/disk.h"

enum {
    FIRST_BUCKETS = 64,
    SCAN_MOST = 64,   /* entries looked at for containment */
    WAIT_IN_RUN = 10, /* ms that a run may wait for the file */
    WAIT_AT_END = 5000
};
#define FLUSH_BYTES (1 << 20)
#define FLUSH_SECONDS 2.0
/* Answers that wait for a file that is busy take at most this much memory. */
#define PENDING_BYTES (64 << 20)

/* One answer, in up to three lists: of its bucket, of its group's bucket, and by last use; it may
 * also wait for the file. Freed when in none of them. */
typedef struct entry {
    struct entry *next;                        /* same bucket */
    struct entry *group_next, *group_previous; /* same group bucket, latest first */
    struct entry *newer, *older;               /* by last use */
    struct entry *pending_next;
    uint64_t hash, group;
    size_t key_size, value_size;
    bool in_table, pending;
    alignas(8) char bytes[]; /* key, value */
} entry;

struct bf_cache {
    pthread_mutex_t lock;
    int64_t limit;
    bool contain, remembers;   /* asked for; there is a memory layer. Both for good */
    entry **buckets, **groups; /* bucket_count each, a power of two; NULL without a memory layer */
    size_t bucket_count;
    entry *newest, *oldest;
    bfi_disk *disk; /* NULL: none */
    bool writes;    /* the disk takes answers */
    entry *pending_first, *pending_last;
    size_t pending_bytes, pending_count;
    double flushed; /* bfi_clock of the last flush */
    bf_cache_stats stats;
};

size_t bfi_cache_entry_bytes(size_t key_size, size_t value_size) {
    return sizeof(entry) + key_size + value_size;
}

static size_t entry_bytes(const entry *e) {
    return bfi_cache_entry_bytes(e->key_size, e->value_size);
}

static size_t table_bytes(size_t buckets) { return buckets * 2 * sizeof(entry *); }

static void note_problem(bf_cache *c, const bf_error *err) {
    if (c->stats.problems++ == 0) memcpy(c->stats.problem, err->message, sizeof c->stats.problem);
}

static void drop_if_unused(entry *e) {
    if (!e->in_table && !e->pending) free(e);
}

/* Lists. */

static void link_newest(bf_cache *c, entry *e) {
    e->newer = NULL, e->older = c->newest;
    if (c->newest) c->newest->newer = e;
    c->newest = e;
    if (!c->oldest) c->oldest = e;
}

static void unlink_use(bf_cache *c, entry *e) {
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_buckets(entry **buckets, entry **groups, size_t count, entry *e) {
    entry **bucket = &buckets[e->hash & (count - 1)], **group = &groups[e->group & (count - 1)];
    e->next = *bucket;
    *bucket = e;
    e->group_previous = NULL, e->group_next = *group;
    if (*group) (*group)->group_previous = e;
    *group = e;
}

static void unlink_buckets(bf_cache *c, entry *e) {
    entry **at = &c->buckets[e->hash & (c->bucket_count - 1)];
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    *(e->group_previous ? &e->group_previous->group_next
                        : &c->groups[e->group & (c->bucket_count - 1)]) = e->group_next;
    if (e->group_next) e->group_next->group_previous = e->group_previous;
}

static void evict(bf_cache *c, entry *e) {
    assert(e->in_table && c->stats.entries > 0);
    unlink_use(c, e);
    unlink_buckets(c, e);
    c->stats.bytes -= (int64_t)entry_bytes(e);
    c->stats.entries--;
    c->stats.evictions++;
    e->in_table = false;
    drop_if_unused(e);
}

/* Twice as many buckets; stays as it is when there is no memory or room for them. Entries are
 * linked again in order of use, so the latest are first again. */
static void grow(bf_cache *c) {
    size_t count = 2 * c->bucket_count;
    if (c->stats.bytes + (int64_t)table_bytes(c->bucket_count) > c->limit) return;
    entry **buckets = bfi_calloc(2 * count, sizeof(entry *));
    if (!buckets) return;
    for (entry *e = c->oldest; e; e = e->newer) link_buckets(buckets, buckets + count, count, e);
    free(c->buckets);
    c->stats.bytes += (int64_t)table_bytes(c->bucket_count);
    c->buckets = buckets, c->groups = buckets + count;
    c->bucket_count = count;
}

static entry *find(const bf_cache *c, const bfi_question *q, uint64_t hash) {
    entry *e = c->buckets ? c->buckets[hash & (c->bucket_count - 1)] : NULL;
    while (e && !(e->hash == hash && bfi_question_equal(q, e->bytes, e->key_size))) e = e->next;
    return e;
}

static void touch(bf_cache *c, entry *e) {
    if (e == c->newest) return;
    unlink_use(c, e);
    link_newest(c, e);
}

/* Takes |e| into the table if it fits. */
static void admit(bf_cache *c, entry *e) {
    int64_t need = (int64_t)entry_bytes(e);
    if (!c->buckets) return;
    if (need > c->limit - (int64_t)table_bytes(c->bucket_count)) {
        c->stats.refused++;
        return;
    }
    if ((size_t)c->stats.entries >= c->bucket_count) grow(c);
    while (c->stats.bytes + need > c->limit) evict(c, c->oldest);
    link_newest(c, e);
    link_buckets(c->buckets, c->groups, c->bucket_count, e);
    e->in_table = true;
    c->stats.bytes += need;
    c->stats.entries++;
    assert(c->stats.bytes <= c->limit);
}

/* An entry with its key written, the value not yet; NULL when out of memory. */
static entry *entry_new(const bfi_question *q, uint64_t hash) {
    size_t key, value, bytes;
    if (!bfi_question_sizes(q, &key, &value) || !bfi_add_size(key, value, &bytes) ||
        !bfi_add_size(bytes, sizeof(entry), &bytes) || bytes > INT64_MAX / 4)
        return NULL;
    entry *e = bfi_malloc(bytes, 1);
    if (!e) return NULL;
    *e =
        (entry){.hash = hash, .group = bfi_question_group(q), .key_size = key, .value_size = value};
    bfi_question_write(q, e->bytes);
    return e;
}

static char *value_of(entry *e) { return e->bytes + e->key_size; }

/* Waiting for the file. */

static void wait_for_disk(bf_cache *c, entry *e) {
    if (c->pending_bytes + entry_bytes(e) > PENDING_BYTES) {
        c->stats.disk_lost++;
        return;
    }
    e->pending = true, e->pending_next = NULL;
    *(c->pending_last ? &c->pending_last->pending_next : &c->pending_first) = e;
    c->pending_last = e;
    c->pending_bytes += entry_bytes(e);
    c->pending_count++;
}

/* The waiting list, taken off. */
static entry *take_pending(bf_cache *c, size_t *count) {
    entry *first = c->pending_first;
    *count = c->pending_count;
    c->pending_first = c->pending_last = NULL;
    c->pending_bytes = c->pending_count = 0;
    c->flushed = bfi_clock();
    return first;
}

/* Writes the taken list; the entries stay pending, so nobody frees them meanwhile. */
static bf_status write_list(bf_cache *c, const entry *first, size_t count, int wait_ms,
                            int64_t *evicted, bf_error *err) {
    bfi_record *records = bfi_malloc(count, sizeof *records);
    if (!records) return bfi_fail_memory(err);
    size_t n = 0;
    for (const entry *e = first; e; e = e->pending_next)
        records[n++] = (bfi_record){.key = e->bytes,
                                    .key_size = e->key_size,
                                    .value = e->bytes + e->key_size,
                                    .value_size = e->value_size};
    assert(n == count);
    bf_status status = bfi_disk_write(c->disk, records, count, wait_ms, evicted, err);
    free(records);
    return status;
}

/* What could not be written now but may be later waits again; the rest is let go. */
static void settle(bf_cache *c, entry *first, size_t count, bf_status status, int64_t evicted,
                   const bf_error *err) {
    bool later = status == BF_STATUS_TIMEOUT || status == BF_STATUS_OUT_OF_MEMORY;
    if (status == BF_STATUS_OK) c->stats.disk_written += (int64_t)count;
    c->stats.disk_evictions += evicted;
    if (status != BF_STATUS_OK && !later) {
        note_problem(c, err);
        c->stats.disk_lost += (int64_t)count;
        c->writes = false;
    }
    for (entry *e = first, *next; e; e = next) {
        next = e->pending_next;
        e->pending = false;
        if (later && c->writes) wait_for_disk(c, e);
        drop_if_unused(e);
    }
}

static bf_status flush(bf_cache *c, int wait_ms, bf_error *err) {
    size_t count;
    int64_t evicted = 0;
    bf_error own = {""};
    pthread_mutex_lock(&c->lock);
    entry *first = take_pending(c, &count);
    pthread_mutex_unlock(&c->lock);
    if (!first) return BF_STATUS_OK;
    bf_status status = write_list(c, first, count, wait_ms, &evicted, &own);
    pthread_mutex_lock(&c->lock);
    settle(c, first, count, status, evicted, &own);
    pthread_mutex_unlock(&c->lock);
    return status == BF_STATUS_OK ? status : bfi_fail(err, status, "%s", own.message);
}

/* Answers. */

/* Reads from the file; a found answer is taken into memory. */
static bool get_from_disk(bf_cache *c, const bfi_question *q, uint64_t hash,
                          const bfi_answer *answer) {
    bf_error err = {""};
    entry *e = entry_new(q, hash);
    bfi_disk_result result =
        e ? bfi_disk_read(c->disk, e->bytes, e->key_size, value_of(e), e->value_size, &err)
          : BFI_DISK_ABSENT;
    if (result == BFI_DISK_FOUND && !bfi_answer_sane(value_of(e), e->value_size))
        result = BFI_DISK_DAMAGED;
    pthread_mutex_lock(&c->lock);
    if (result == BFI_DISK_FOUND) {
        c->stats.disk_hits++;
        bfi_answer_read(q, value_of(e), answer);
        if (!find(c, q, hash)) admit(c, e);
    } else {
        c->stats.disk_misses++;
        c->stats.misses++;
        if (result == BFI_DISK_DAMAGED) {
            c->stats.disk_rejected++;
            bfi_fail(&err, BF_STATUS_PARSE,
                     "the cache file holds damaged entries; they are ignored and computed again");
        }
        if (result == BFI_DISK_DAMAGED || result == BFI_DISK_FAILED) note_problem(c, &err);
    }
    if (e) drop_if_unused(e);
    pthread_mutex_unlock(&c->lock);
    return result == BFI_DISK_FOUND;
}

bool bfi_cache_get(bf_cache *c, const bfi_question *q, const bfi_answer *answer) {
    uint64_t hash = bfi_question_hash(q);
    pthread_mutex_lock(&c->lock);
    entry *e = find(c, q, hash);
    if (e) {
        bfi_answer_read(q, value_of(e), answer);
        touch(c, e);
        c->stats.hits++;
    } else if (!c->disk || q->brief) {
        c->stats.misses++;
    }
    pthread_mutex_unlock(&c->lock);
    return e || (c->disk && !q->brief && get_from_disk(c, q, hash, answer));
}

void bfi_cache_put(bf_cache *c, const bfi_question *q, const bfi_answer *answer) {
    uint64_t hash = bfi_question_hash(q);
    if (!c->remembers && (!c->disk || q->brief)) return;
    entry *e = entry_new(q, hash);
    if (e) bfi_answer_write(q, answer, value_of(e));
    pthread_mutex_lock(&c->lock);
    bool due = false;
    if (!e) {
        c->stats.refused++;
    } else if (!find(c, q, hash)) {
        c->stats.insertions++;
        admit(c, e);
        if (c->writes && !q->brief) wait_for_disk(c, e);
        due = c->pending_bytes >= FLUSH_BYTES ||
              (c->pending_count && bfi_clock() - c->flushed > FLUSH_SECONDS);
    }
    if (e) drop_if_unused(e);
    pthread_mutex_unlock(&c->lock);
    if (due) flush(c, WAIT_IN_RUN, NULL);
}

bool bfi_cache_contains(const bf_cache *c) { return c->contain; }

bool bfi_cache_contain(bf_cache *c, const bfi_question *q, const bfi_answer *answer) {
    if (!c->contain || !c->remembers) return false;
    uint64_t group = bfi_question_group(q);
    bool tighter = false;
    pthread_mutex_lock(&c->lock);
    entry *e = c->groups[group & (c->bucket_count - 1)];
    for (int i = 0; e && i < SCAN_MOST; e = e->group_next, i++) {
        if (e->group != group || !bfi_question_inside(q, e->bytes, e->key_size)) continue;
        tighter = bfi_answer_meet(q, value_of(e), answer);
        touch(c, e);
        c->stats.containment_hits++;
        break;
    }
    pthread_mutex_unlock(&c->lock);
    return tighter;
}

void bfi_cache_held(bf_cache *c, int64_t layers) {
    pthread_mutex_lock(&c->lock);
    c->stats.held += layers;
    pthread_mutex_unlock(&c->lock);
}

/* Life. */

bf_cache_options bf_cache_options_default(void) {
    return (bf_cache_options){.bytes = (int64_t)256 << 20, .disk_bytes = (int64_t)4 << 30};
}

static bool make_tables(bf_cache *c, int64_t bytes) {
    c->limit = bytes;
    if (bytes < (int64_t)(table_bytes(FIRST_BUCKETS) + sizeof(entry))) return true;
    c->buckets = bfi_calloc(2 * FIRST_BUCKETS, sizeof(entry *));
    if (!c->buckets) return false;
    c->groups = c->buckets + FIRST_BUCKETS;
    c->bucket_count = FIRST_BUCKETS;
    c->stats.bytes = (int64_t)table_bytes(FIRST_BUCKETS);
    return true;
}

bf_status bf_cache_create(const bf_cache_options *options, bf_cache **out, bf_error *err) {
    if (options->bytes < 0 || options->disk_bytes < 0 || (options->path && !*options->path))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "cache: sizes must not be negative, a path must not be empty");
    bf_cache *c = bfi_calloc(1, sizeof *c);
    if (!c) return bfi_fail_memory(err);
    if (!make_tables(c, options->bytes) || pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c->buckets);
        free(c);
        return bfi_fail_memory(err);
    }
    c->contain = options->contain;
    c->remembers = c->buckets;
    c->flushed = bfi_clock();
    if (options->path) {
        bf_error own = {""};
        bf_status status =
            bfi_disk_open(options->path, options->disk_bytes, options->read_only, &c->disk, &own);
        if (status == BF_STATUS_OUT_OF_MEMORY) {
            bf_cache_free(c);
            return bfi_fail_memory(err);
        }
        if (status != BF_STATUS_OK) note_problem(c, &own);
        c->writes = c->disk && !options->read_only;
    }
    *out = c;
    return BF_STATUS_OK;
}

void bf_cache_free(bf_cache *c) {
    if (!c) return;
    flush(c, WAIT_AT_END, NULL);
    size_t count;
    for (entry *e = take_pending(c, &count), *next; e; e = next) {
        next = e->pending_next;
        e->pending = false;
        drop_if_unused(e);
    }
    for (entry *e = c->oldest, *next; e; e = next) {
        next = e->newer;
        free(e);
    }
    bfi_disk_close(c->disk);
    pthread_mutex_destroy(&c->lock);
    free(c->buckets);
    free(c);
}

bf_status bf_cache_flush(bf_cache *c, bf_error *err) { return flush(c, WAIT_AT_END, err); }

bf_cache_stats bf_cache_stats_now(bf_cache *c) {
    pthread_mutex_lock(&c->lock);
    bf_cache_stats stats = c->stats;
    pthread_mutex_unlock(&c->lock);
    return stats;
}

static const struct {
    const char *name, *meaning;
    size_t offset;
} rows[] = {
#define BF_CACHE_STAT(field, meaning) {#field, meaning, offsetof(bf_cache_stats, field)},
#include "boundflow/cache_stat.def"
#undef BF_CACHE_STAT
};

static bool is_row(int index) { return index >= 0 && (size_t)index < sizeof rows / sizeof *rows; }

const char *bf_cache_stat_name(int index) { return is_row(index) ? rows[index].name : NULL; }

const char *bf_cache_stat_meaning(int index) { return is_row(index) ? rows[index].meaning : NULL; }

int64_t bf_cache_stat_value(const bf_cache_stats *stats, int index) {
    int64_t value = 0;
    if (is_row(index)) memcpy(&value, (const char *)stats + rows[index].offset, sizeof value);
    return value;
}
