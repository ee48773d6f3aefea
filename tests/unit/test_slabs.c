/* Slabs: pieces keep what is written to them, do not overlap, serve again; large ones too. */
#include <string.h>

#include "base/slabs.h"
#include "graph_kit.h"

enum { PIECES = 300 };

typedef struct piece {
    unsigned char *bytes;
    size_t size;
    unsigned char mark;
} piece;

static size_t some_size(void) {
    int64_t kind = kit_int(0, 9);
    if (kind == 0) return (size_t)kit_int(BFI_SLABS_LARGEST - 20, BFI_SLABS_LARGEST + 20);
    if (kind == 1) return (size_t)kit_int(BFI_SLABS_LARGEST, 4 * BFI_SLABS_LARGEST);
    return (size_t)kit_int(0, kind == 2 ? 5000 : 100);
}

static void take(bfi_slabs *slabs, piece *p) {
    p->size = some_size();
    p->mark = (unsigned char)kit_int(0, 255);
    p->bytes = bfi_slabs_take(slabs, p->size);
    assert_non_null(p->bytes);
    assert_int_equal((uintptr_t)p->bytes % BFI_SLABS_GRAIN, 0);
    memset(p->bytes, p->mark, p->size);
}

static void check(const piece *p) {
    for (size_t i = 0; i < p->size; i++) assert_int_equal(p->bytes[i], p->mark);
}

static void test_pieces(void **unused) {
    (void)unused;
    bfi_slabs slabs = {0};
    static piece pieces[PIECES];
    for (int round = 0; round < 3; round++) {
        memset(pieces, 0, sizeof pieces);
        for (int step = 0; step < 5000; step++) {
            piece *p = &pieces[kit_int(0, PIECES - 1)];
            if (!p->bytes) {
                take(&slabs, p);
                continue;
            }
            check(p);
            bfi_slabs_give(&slabs, p->bytes, p->size);
            p->bytes = NULL;
        }
        for (int i = 0; i < PIECES; i++)
            if (pieces[i].bytes) check(&pieces[i]);
        bfi_slabs_clear(&slabs);
        assert_null(slabs.slabs);
        assert_null(slabs.large);
    }
}

/* What is given back is what the next piece of the size gets: a search whose nodes come and go
 * takes memory for those that are there. */
static void test_again(void **unused) {
    (void)unused;
    bfi_slabs slabs = {0};
    void *a = bfi_slabs_take(&slabs, 100), *b = bfi_slabs_take(&slabs, 40);
    bfi_slabs_give(&slabs, a, 100);
    bfi_slabs_give(&slabs, b, 40);
    assert_ptr_equal(bfi_slabs_take(&slabs, 33), b);
    assert_ptr_equal(bfi_slabs_take(&slabs, 112), a);
    assert_null(bfi_slabs_take(&slabs, SIZE_MAX));
    assert_true(bfi_slabs_bytes(100) == 112 &&
                bfi_slabs_bytes(BFI_SLABS_LARGEST + 1) > BFI_SLABS_LARGEST);
    bfi_slabs_clear(&slabs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
