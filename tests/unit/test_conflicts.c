/* Conflicts: what they say of sides; branch and bound over linear programs that learns them agrees
 * with trying all assignments of Boolean formulas. */
#include "formula_kit.h"
#include "solver_kit.h"
#include "verify/solver/conflicts.h"

static void test_states(void **unused) {
    (void)unused;
    enum { KINKS = 6 };
    bfi_conflicts c;
    bfi_side sides[KINKS], missing;
    assert_int_equal(bfi_conflicts_create(KINKS, &c, NULL), BF_STATUS_OK);
    for (int i = 0; i < 500; i++) {
        bool kept[KINKS];
        int32_t place[KINKS] = {0}, taken = 0, size = 0, against = 0, left = -1;
        for (int k = 0; k < KINKS; k++)
            sides[k] = (bfi_side){k, kit_int(0, 1) ? 1 : -1}, kept[k] = kit_int(0, 1);
        assert_int_equal(bfi_conflicts_add(&c, sides, kept, KINKS, NULL), BF_STATUS_OK);
        assert_int_equal(c.count, i + 1);
        for (int k = 0; k < KINKS; k++) {
            int sign = (int)kit_int(0, 9) < 2 ? 0 : kit_int(0, 6) ? sides[k].sign : -sides[k].sign;
            place[k] = sign * (k + 1);
            if (!kept[k]) continue;
            size++, taken += sign == sides[k].sign, against += sign == -sides[k].sign;
            if (sign == 0) left = k;
        }
        bfi_conflict_state state = bfi_conflicts_look(&c, i, place, &missing);
        bool implies = taken == size - 1 && against == 0;
        assert_int_equal(state, taken == size ? BFI_CONFLICT_BROKEN
                                : implies     ? BFI_CONFLICT_IMPLIES
                                              : BFI_CONFLICT_QUIET);
        if (implies) assert_true(missing.kink == left && missing.sign == sides[left].sign);
    }
    bfi_conflicts_clear(&c);
}

/* The kinks of recent conflicts, and of small ones, come first; none is lost for its number. */
static void test_activity(void **unused) {
    (void)unused;
    const bfi_side sides[] = {{0, 1}, {1, -1}, {2, 1}};
    const bool small[] = {true, false, false}, large[] = {false, true, true};
    bfi_conflicts c;
    assert_int_equal(bfi_conflicts_create(3, &c, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_conflicts_add(&c, sides, large, 3, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_conflicts_add(&c, sides, small, 3, NULL), BF_STATUS_OK);
    assert_true(c.activity[0] > c.activity[1] && c.activity[1] == c.activity[2]);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(bfi_conflicts_add(&c, sides, large, 3, NULL), BF_STATUS_OK);
    assert_true(c.activity[1] > c.activity[0] && c.activity[1] < INFINITY);
    bfi_conflicts_clear(&c);
}

static void test_formulas(void **unused) {
    (void)unused;
    if (!solver_there(BFI_SOLVER_MIP)) skip();
    int refuted = 0, found = 0;
    int64_t nodes = 0;
    for (int i = 0; i < 30; i++) {
        int variables = (int)kit_int(9, FORMULA_VARIABLES);
        formula f = formula_new(variables, variables * (int)kit_int(8, 13));
        bf_model *model = formula_model(&f);
        solver_property p;
        solver_property_init(&p, model);
        for (int k = 0; k < f.variables; k++) p.lo[k] = 0, p.hi[k] = 1;
        solver_property_row(&p, 1, 0, 0, 0, 0);
        solver_property_row(&p, 1, 1, 0, 0, 0);
        bfi_solver_result r = solver_once(model, &p, BFI_SOLVER_MIP, BF_SEMANTICS_REAL);
        if (formula_satisfiable(&f)) {
            assert_int_not_equal(r.outcome, BFI_SOLVER_REFUTED);
            found += r.outcome == BFI_SOLVER_FOUND;
        } else {
            assert_int_equal(r.outcome, BFI_SOLVER_REFUTED);
            assert_true(r.lower > 0);
            refuted++, nodes += r.nodes;
        }
        bf_model_free(model);
    }
    print_message("%d refuted in %lld nodes, %d found\n", refuted, (long long)nodes, found);
    assert_true(refuted > 5 && found > 5);
    assert_true(nodes > 20 * refuted);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states),
                                       cmocka_unit_test(test_activity),
                                       cmocka_unit_test(test_formulas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
