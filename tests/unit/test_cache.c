/* The memory layer: what is found has the bits that were put in, nothing else is found, bytes are
 * exact, larger boxes give sound starts. */
#include "cache_kit.h"

#include <math.h>
#include <pthread.h>

static bf_cache *cache_of(int64_t bytes) {
    bf_cache_options options = bf_cache_options_default();
    options.bytes = bytes;
    return cache_new(options);
}

static void found(void **state) {
    (void)state;
    bf_cache *cache = cache_of(1 << 22);
    for (uint64_t n = 0; n < 2000; n++) assert_false(ask_get(cache, n));
    for (uint64_t n = 0; n < 2000; n++) ask_put(cache, n);
    for (uint64_t n = 0; n < 2000; n++) ask_put(cache, n); /* known: nothing happens */
    for (uint64_t n = 0; n < 2000; n++) assert_true(ask_get(cache, n));
    bf_cache_stats stats = bf_cache_stats_now(cache);
    assert_int_equal(stats.hits, 2000);
    assert_int_equal(stats.misses, 2000);
    assert_int_equal(stats.insertions, 2000);
    assert_int_equal(stats.entries, 2000);
    assert_int_equal(stats.evictions + stats.refused + stats.problems, 0);
    bf_cache_free(cache);
}

static void bump(double *x) { *x = nextafter(*x, INFINITY); }

/* Changes one thing of the question; false when there is no such thing. */
static bool change(asked *a, int which) {
    int64_t n = a->region.inputs;
    switch (which) {
        case 0:
            a->what.bytes[31] ^= 1;
            break;
        case 1:
            a->what.bytes[0] ^= 128;
            break;
        case 2:
            bump(&a->lo[0]);
            break;
        case 3:
            bump(&a->lo[n - 1]);
            break;
        case 4:
            bump(&a->hi[0]);
            break;
        case 5:
            bump(&a->hi[n - 1]);
            break;
        case 6:
            if (!a->q.spec_count) return false;
            bump(&a->spec[a->q.spec_count - 1]);
            break;
        case 7:
            a->q.spec_count += 4;
            break;
        case 8:
            if (!a->region.split_count) return false;
            a->splits[0].neuron ^= 1;
            break;
        case 9:
            a->region.split_count++;
            a->splits[a->region.split_count - 1] = (bfi_split_name){{UINT64_MAX, 0}, 4, 0};
            break;
        case 10:
            if (!a->region.split_count) return false;
            a->region.split_count--;
            break;
        case 11:
            a->q.derived = !a->q.derived;
            break;
        case 12:
            a->q.parts = a->q.parts % 7 + 1;
            break;
        case 13:
            a->q.count++;
            break;
        case 14:
            a->region.inputs++;
            break;
        case 15: /* a number moves from one vector to the next: the same bytes in a row */
            if (a->q.spec_count < 4) return false;
            memmove(a->spec + 2, a->spec, (size_t)a->q.spec_count * sizeof(double));
            a->spec[0] = a->hi[n - 2 < 0 ? 0 : n - 2], a->spec[1] = a->hi[n - 1];
            a->q.spec_count += 2;
            if (n < 2) return false;
            a->region.inputs -= 1;
            break;
        case 16:
            if (!a->region.split_count) return false;
            bump(&a->splits[0].point);
            break;
        case 17:
            if (!a->q.enough) return false;
            bump(&a->enough[a->q.count - 1]);
            break;
        case 18:
            a->q.enough = a->q.enough ? NULL : a->enough;
            break;
        default:
            return false;
    }
    return true;
}

static void key_sensitivity(void **state) {
    (void)state;
    bf_cache *cache = cache_of(1 << 22);
    int changed = 0;
    for (uint64_t n = 0; n < 300; n++) {
        ask_put(cache, n);
        for (int which = 0; which < 19; which++) {
            asked a;
            ask_make(&a, n);
            if (!change(&a, which)) continue;
            ask_ready(&a);
            assert_false(bfi_cache_get(cache, &a.q, &a.answer));
            changed++;
        }
        assert_true(ask_get(cache, n));
    }
    assert_true(changed > 300 * 12);
    bf_cache_free(cache);
}

/* Whole keys are compared: what an equal hash brings together is told apart. */
static void collisions(void **state) {
    (void)state;
    asked a, b;
    ask_make(&a, 1);
    for (int which = 0; which < 19; which++) {
        double room[8 * ASK_MOST];
        size_t key, value;
        ask_make(&b, 1);
        if (!change(&b, which)) continue;
        ask_ready(&b);
        assert_true(bfi_question_sizes(&b.q, &key, &value) && key <= sizeof room);
        bfi_question_write(&b.q, room);
        assert_true(bfi_question_equal(&b.q, room, key));
        assert_false(bfi_question_equal(&a.q, room, key));
    }
}

static void bytes_exact(void **state) {
    (void)state;
    const int64_t limits[] = {0, 100, 2000, 5000, 20000, 100000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        bf_cache *cache = cache_of(limits[i]);
        int64_t tables = bf_cache_stats_now(cache).bytes;
        for (uint64_t n = 0; n < 400; n++) {
            ask_put(cache, n);
            bf_cache_stats stats = bf_cache_stats_now(cache);
            assert_true(stats.bytes <= limits[i]);
            assert_int_equal(
                stats.insertions - stats.evictions - stats.refused + (tables ? 0 : stats.refused),
                tables ? stats.entries : stats.insertions);
        }
        /* what is there are the latest, and their bytes are all bytes */
        bf_cache_stats stats = bf_cache_stats_now(cache);
        int64_t bytes = 0, entries = 0;
        uint64_t n = 400;
        while (n > 0 && ask_get(cache, n - 1)) bytes += (int64_t)ask_bytes(--n), entries++;
        assert_int_equal(entries, stats.entries);
        int64_t buckets = (stats.bytes - bytes) / 16; /* two pointers each */
        assert_int_equal(stats.bytes, bytes + 16 * buckets);
        assert_true(buckets == 0 || (buckets >= 64 && (buckets & (buckets - 1)) == 0));
        if (n > 0 && stats.entries) /* one more would not have fitted */
            assert_true(stats.bytes + (int64_t)ask_bytes(n - 1) > limits[i]);
        bf_cache_free(cache);
    }
}

static void least_recent_goes(void **state) {
    (void)state;
    int64_t room = 64 * 16;
    for (uint64_t n = 0; n < 10; n++) room += (int64_t)ask_bytes(n);
    bf_cache *cache = cache_of(room);
    for (uint64_t n = 0; n < 10; n++) ask_put(cache, n);
    assert_int_equal(bf_cache_stats_now(cache).entries, 10);
    assert_int_equal(bf_cache_stats_now(cache).bytes, room);
    assert_true(ask_get(cache, 0)); /* used: now the latest */
    uint64_t next = 10;
    while (ask_get(cache, 1)) { /* asking for 1 keeps it; 2 is the oldest then */
        ask_put(cache, next++);
        if (!ask_get(cache, 2)) break;
    }
    assert_true(ask_get(cache, 0));
    assert_true(ask_get(cache, 1));
    assert_false(ask_get(cache, 2) && ask_get(cache, 3));
    assert_true(bf_cache_stats_now(cache).evictions > 0);
    bf_cache_free(cache);
}

static bf_cache *containing_cache(void) {
    bf_cache_options options = bf_cache_options_default();
    options.contain = 1;
    return cache_new(options);
}

/* A question about |scale| times a box around zero, with the splits of bits |splits|. */
static void ask_box(asked *a, double scale, int splits) {
    memset(a, 0, sizeof *a);
    a->region.inputs = 3, a->q.count = 2, a->q.parts = 7;
    for (int i = 0; i < 3; i++) a->lo[i] = -scale, a->hi[i] = scale;
    for (int i = 0; i < 4; i++)
        if (splits >> i & 1)
            a->splits[a->region.split_count++] =
                (bfi_split_name){{7, (uint64_t)i / 2}, 10 + i % 2, 0.5};
    for (int i = 0; i < 2; i++)
        a->values[0][i] = -scale * (i + 1), a->values[1][i] = scale * (i + 2),
        a->values[2][i] = scale;
    ask_ready(a);
}

static void put_box(bf_cache *cache, double scale, int splits) {
    asked a;
    ask_box(&a, scale, splits);
    bfi_cache_put(cache, &a.q, &a.answer);
}

/* Asks about a box of |scale| with fresh bounds of |width|; the lower bound of the first row then.
 */
static double start_of(bf_cache *cache, double scale, int splits, double width) {
    asked a;
    ask_box(&a, scale, splits);
    for (int i = 0; i < 2; i++) a.values[0][i] = -width, a.values[1][i] = width;
    bfi_cache_contain(cache, &a.q, &a.answer);
    assert_true(a.values[0][0] <= a.values[1][0] && a.values[0][1] <= a.values[1][1]);
    return a.values[0][0];
}

static void containment(void **state) {
    (void)state;
    bf_cache *cache = containing_cache();
    put_box(cache, 1, 0);
    assert_true(start_of(cache, 0.5, 0, 10) == -1);
    assert_true(start_of(cache, 1, 0, 10) == -1);
    assert_true(start_of(cache, 0.5, 3, 10) == -1);      /* more splits: a smaller set */
    assert_true(start_of(cache, 0.5, 0, 0.25) == -0.25); /* fresh is better */
    assert_true(start_of(cache, 1.0000001, 0, 10) == -10);
    put_box(cache, 0.75, 0); /* the latest that contains */
    assert_true(start_of(cache, 0.5, 0, 10) == -0.75);
    assert_true(start_of(cache, 0.8, 0, 10) == -1);
    put_box(cache, 0.7, 5); /* splits that the question must have too */
    assert_true(start_of(cache, 0.5, 0, 10) == -0.75);
    assert_true(start_of(cache, 0.5, 1, 10) == -0.75);
    assert_true(start_of(cache, 0.5, 5, 10) == -0.7);
    assert_true(start_of(cache, 0.5, 15, 10) == -0.7);
    assert_true(start_of(cache, 0.5, 10, 10) == -0.75);
    assert_int_equal(bf_cache_stats_now(cache).containment_hits, 11);
    bf_cache_free(cache);
}

static void containment_needs_the_same_question(void **state) {
    (void)state;
    bf_cache *cache = containing_cache();
    put_box(cache, 1, 0);
    for (int which = 0; which < 14; which++) {
        asked a;
        ask_box(&a, 0.5, 0);
        if ((which >= 2 && which <= 5) || which == 9 || which == 11 || !change(&a, which)) continue;
        ask_ready(&a);
        memset(a.values, 0, sizeof a.values);
        assert_false(bfi_cache_contain(cache, &a.q, &a.answer));
    }
    asked a;
    ask_box(&a, 0.5, 0);
    a.lo[1] = NAN;
    ask_ready(&a);
    a.values[0][0] = -10;
    assert_false(bfi_cache_contain(cache, &a.q, &a.answer));
    assert_int_equal(bf_cache_stats_now(cache).containment_hits, 0);
    bf_cache *off = cache_of(1 << 20);
    put_box(off, 1, 0);
    assert_true(start_of(off, 0.5, 0, 10) == -10);
    bf_cache_free(off);
    bf_cache_free(cache);
}

/* Bounds that would cross stay as they are, one side at a time. */
static void meeting(void **state) {
    (void)state;
    asked a;
    ask_box(&a, 1, 0);
    const double known[6] = {3, -0.5, 5, -0.25, 9, 8}; /* lower, upper, error */
    a.values[0][0] = 0, a.values[1][0] = 1, a.values[2][0] = 7;
    a.values[0][1] = -1, a.values[1][1] = 1, a.values[2][1] = 7;
    assert_true(bfi_answer_meet(&a.q, known, &a.answer));
    assert_true(a.values[0][0] == 0 && a.values[1][0] == 1 && a.values[2][0] == 7);
    assert_true(a.values[0][1] == -0.5 && a.values[1][1] == -0.25 && a.values[2][1] == 8);
    assert_false(bfi_answer_meet(&a.q, known, &a.answer));
}

typedef struct worker {
    bf_cache *cache;
    uint64_t seed;
    int hits;
} worker;

/* Half of the keys are everyone's. */
static void *work(void *user) {
    worker *w = user;
    uint64_t state = w->seed;
    for (int i = 0; i < 4000; i++) {
        uint64_t n = ask_bits(&state) % 200 + (ask_bits(&state) % 2 ? w->seed * 1000 : 0);
        asked a;
        if (ask_bits(&state) % 3 == 0) {
            ask_put(w->cache, n);
        } else if (ask_bits(&state) % 7 == 0) {
            ask_make(&a, n);
            bfi_cache_contain(w->cache, &a.q, &a.answer);
            bf_cache_stats_now(w->cache);
        } else {
            w->hits += ask_get(w->cache, n);
        }
    }
    return NULL;
}

static void threads(void **state) {
    (void)state;
    bf_cache_options options = bf_cache_options_default();
    options.bytes = 100000, options.contain = 1;
    bf_cache *cache = cache_new(options);
    pthread_t thread[4];
    worker workers[4];
    int64_t hits = 0;
    for (int i = 0; i < 4; i++) {
        workers[i] = (worker){cache, (uint64_t)i + 1, 0};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        hits += workers[i].hits;
    }
    bf_cache_stats stats = bf_cache_stats_now(cache);
    assert_int_equal(stats.hits, hits);
    assert_true(hits > 1000 && stats.evictions > 0 && stats.bytes <= options.bytes);
    bf_cache_free(cache);
}

static void counters(void **state) {
    (void)state;
    int count = 0;
    bf_cache_stats stats = {.hits = 3, .disk_lost = 9};
    for (; bf_cache_stat_name(count); count++) {
        assert_true(strlen(bf_cache_stat_meaning(count)) > 5);
        int64_t value = bf_cache_stat_value(&stats, count);
        assert_int_equal(value, strcmp(bf_cache_stat_name(count), "hits") == 0        ? 3
                                : strcmp(bf_cache_stat_name(count), "disk_lost") == 0 ? 9
                                                                                      : 0);
    }
    assert_true(count > 10);
    assert_null(bf_cache_stat_name(-1));
    assert_null(bf_cache_stat_meaning(count));
    assert_int_equal(bf_cache_stat_value(&stats, count), 0);
    bf_cache_options options = bf_cache_options_default();
    bf_cache *cache = NULL;
    bf_error err = {""};
    options.bytes = -1;
    assert_int_equal(bf_cache_create(&options, &cache, &err), BF_STATUS_INVALID_ARGUMENT);
    options = bf_cache_options_default();
    options.path = "";
    assert_int_equal(bf_cache_create(&options, &cache, &err), BF_STATUS_INVALID_ARGUMENT);
    assert_null(cache);
    bf_cache_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found),
        cmocka_unit_test(key_sensitivity),
        cmocka_unit_test(collisions),
        cmocka_unit_test(bytes_exact),
        cmocka_unit_test(least_recent_goes),
        cmocka_unit_test(containment),
        cmocka_unit_test(containment_needs_the_same_question),
        cmocka_unit_test(meeting),
        cmocka_unit_test(threads),
        cmocka_unit_test(counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
