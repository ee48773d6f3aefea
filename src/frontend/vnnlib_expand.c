#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/vnnlib.h"

#define TRY BFI_VNNLIB_TRY

/* Both sides of one input; the lines say which assertion set them (0: none). */
typedef struct interval {
    double lo, hi, lo_inner, hi_inner;
    bool lo_open, hi_open;
    int32_t lo_line, hi_line;
} interval;

/* An input whose interval in a case is not that of the whole property. */
typedef struct delta {
    int32_t variable;
    interval box;
} delta;

typedef struct case_entry {
    uint64_t hash;
    size_t delta, delta_count; /* range in |deltas| */
    int32_t disjuncts;
} case_entry;

typedef struct disjunct_entry {
    int32_t in_case;
    int32_t row_count;
    size_t row; /* range in |rows| */
} disjunct_entry;

/* A place in the formula: the node |node| and its siblings, then the place |up|; -1 is the end. */
typedef struct place {
    int32_t node, up;
} place;

/* An `or` one of whose children was taken; what to restore before the next one is. */
typedef struct choice {
    int32_t child;
    place rest;
    size_t place_count, atom_count;
} choice;

typedef struct expander {
    bfi_vnnlib_formula *f;
    bf_error *err;
    interval *base, *box; /* n_in: of all disjuncts; of the current one where |stamp| is current */
    uint32_t *stamp, epoch;
    int32_t *base_rows, base_row_count;
    int32_t *unbounded, unbounded_count; /* inputs that the top level leaves open */
    int32_t *touched, touched_count;
    int32_t root; /* the list of top-level disjunctions */

    place *places;
    choice *choices;
    int32_t *atoms; /* nodes chosen for the current disjunct */
    size_t place_count, place_capacity, choice_count, choice_capacity, atom_count, atom_capacity;

    delta *deltas;
    case_entry *cases;
    disjunct_entry *disjuncts;
    int32_t *rows;
    size_t delta_count, delta_capacity, case_count, case_capacity;
    size_t disjunct_count, disjunct_capacity, row_count, row_capacity;
    int32_t *table; /* hash table of case + 1; 0 is free */
    size_t table_size;
} expander;

/* One block of memory per kind; the public struct comes first. */
typedef struct property {
    bf_property public;
    double *numbers;
    bf_polytope *polytopes;
    bf_halfspace *rows;
    bf_term *terms;
} property;

static const interval everything = {-INFINITY, INFINITY, -INFINITY, INFINITY, false, false, 0, 0};

/* ---- Boxes ---- */

static void tighten(interval *box, const bfi_vnnlib_bound *b, int32_t line) {
    if (b->upper) {
        if (b->outer < box->hi) {
            box->hi = b->outer;
            box->hi_open = b->open;
            box->hi_line = line;
        } else if (b->outer == box->hi) {
            box->hi_open |= b->open;
        }
        if (b->inner < box->hi_inner) box->hi_inner = b->inner;
    } else {
        if (b->outer > box->lo) {
            box->lo = b->outer;
            box->lo_open = b->open;
            box->lo_line = line;
        } else if (b->outer == box->lo) {
            box->lo_open |= b->open;
        }
        if (b->inner > box->lo_inner) box->lo_inner = b->inner;
    }
}

static bool is_empty(const interval *box) {
    return box->lo > box->hi || (box->lo == box->hi && (box->lo_open || box->hi_open));
}

static bool same_numbers(const interval *a, const interval *b) {
    return a->lo == b->lo && a->hi == b->hi && a->lo_inner == b->lo_inner &&
           a->hi_inner == b->hi_inner;
}

static uint64_t mix(uint64_t hash, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    hash = (hash ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t hash_deltas(const delta *d, size_t count) {
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        hash = mix(hash, d[i].variable);
        hash = mix(mix(hash, d[i].box.lo), d[i].box.hi);
        hash = mix(mix(hash, d[i].box.lo_inner), d[i].box.hi_inner);
    }
    return hash;
}

/* ---- The top level: what holds in every disjunct ---- */

static bf_status take_top_level(expander *e, int32_t node, int32_t *last) {
    bfi_vnnlib_formula *f = e->f;
    for (int32_t next; node >= 0; node = next) {
        bfi_vnnlib_node *n = &f->nodes[node];
        next = n->next;
        switch (n->kind) {
            case BFI_VNNLIB_AND:
                TRY(take_top_level(e, n->first, last));
                break;
            case BFI_VNNLIB_BOUND: {
                const bfi_vnnlib_bound *b = &f->bounds[n->first];
                tighten(&e->base[b->variable], b, n->line);
                break;
            }
            case BFI_VNNLIB_ROW:
                e->base_rows[e->base_row_count++] = n->first;
                break;
            case BFI_VNNLIB_OR:
                if (n->first < 0)
                    return bfi_fail(e->err, BF_STATUS_PARSE, "%s:%d: this assertion is never true",
                                    f->name, n->line);
                n->next = -1;
                if (*last < 0)
                    e->root = node;
                else
                    f->nodes[*last].next = node;
                *last = node;
                break;
        }
    }
    return BF_STATUS_OK;
}

static bf_status fail_empty(const expander *e, int32_t input) {
    const interval *b = &e->base[input];
    char name[256];
    bfi_vnnlib_input_name(e->f, input, name, sizeof name);
    return bfi_fail(e->err, BF_STATUS_PARSE,
                    "%s:%d: the box is empty: %s has the lower bound %.9g (line %d) and the upper "
                    "bound %.9g (line %d)",
                    e->f->name, b->lo_line > b->hi_line ? b->lo_line : b->hi_line, name, b->lo,
                    b->lo_line, b->hi, b->hi_line);
}

static bf_status check_base(expander *e) {
    for (int32_t i = 0; i < e->f->n_in; i++) {
        const interval *b = &e->base[i];
        if (is_empty(b)) return fail_empty(e, i);
        if (isinf(b->lo) || isinf(b->hi)) e->unbounded[e->unbounded_count++] = i;
    }
    return BF_STATUS_OK;
}

/* ---- Size of the normal form ---- */

/* Disjuncts, and nodes visited to spell them all out; saturating. */
typedef struct extent {
    double disjuncts, visits;
} extent;

static extent clamp(extent x) { return (extent){fmin(x.disjuncts, 1e18), fmin(x.visits, 1e18)}; }

static extent measure_all(const bfi_vnnlib_node *nodes, int32_t node);

static extent measure(const bfi_vnnlib_node *nodes, int32_t node) {
    const bfi_vnnlib_node *n = &nodes[node];
    if (n->first < 0 || n->kind == BFI_VNNLIB_BOUND || n->kind == BFI_VNNLIB_ROW)
        return (extent){1, 1}; /* a false one is still visited */
    extent sum = {0, 0};
    if (n->kind == BFI_VNNLIB_AND) {
        sum = measure_all(nodes, n->first);
    } else {
        for (int32_t c = n->first; c >= 0; c = nodes[c].next) {
            extent x = measure(nodes, c);
            sum = clamp((extent){sum.disjuncts + x.disjuncts, sum.visits + x.visits});
        }
    }
    sum.visits += sum.disjuncts;
    return clamp(sum);
}

/* Of the conjunction of a list. */
static extent measure_all(const bfi_vnnlib_node *nodes, int32_t node) {
    extent all = {1, 0};
    for (; node >= 0; node = nodes[node].next) {
        extent x = measure(nodes, node);
        all = clamp((extent){all.disjuncts * x.disjuncts,
                             all.visits * x.disjuncts + x.visits * all.disjuncts});
    }
    return all;
}

static bf_status check_extent(expander *e) {
    extent x = measure_all(e->f->nodes, e->root);
    const char *name = e->f->name;
    if (x.disjuncts > BFI_VNNLIB_MAX_DISJUNCTS)
        return bfi_fail(
            e->err, BF_STATUS_LIMIT,
            "%s:%d: the assertions from here on spell out to %.3g disjuncts; at most %d are "
            "handled",
            name, e->f->nodes[e->root].line, x.disjuncts, BFI_VNNLIB_MAX_DISJUNCTS);
    x.visits += x.disjuncts * e->base_row_count;
    if (x.visits > BFI_VNNLIB_MAX_ATOMS)
        return bfi_fail(
            e->err, BF_STATUS_LIMIT,
            "%s: the disjunctive normal form has about %.3g constraints; at most %d are "
            "handled",
            name, x.visits, BFI_VNNLIB_MAX_ATOMS);
    return BF_STATUS_OK;
}

/* ---- Cases and disjuncts ---- */

static interval *box_of(expander *e, int32_t variable) {
    if (e->stamp[variable] != e->epoch) {
        e->stamp[variable] = e->epoch;
        e->box[variable] = e->base[variable];
        e->touched[e->touched_count++] = variable;
    }
    return &e->box[variable];
}

static int ascending(const void *a, const void *b) {
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    return (i > j) - (i < j);
}

/* Appends the inputs in which the current box differs from the common one, without keeping them. */
static bf_status write_deltas(expander *e, size_t *count) {
    bool sorted = true;
    size_t n = (size_t)e->touched_count;
    for (size_t i = 1; i < n; i++) sorted &= e->touched[i - 1] < e->touched[i];
    if (!sorted) qsort(e->touched, n, sizeof *e->touched, ascending);
    TRY(bfi_vnnlib_reserve(&e->deltas, &e->delta_capacity, e->delta_count + n + 1,
                           sizeof *e->deltas, e->err));
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t v = e->touched[i];
        if (!same_numbers(&e->box[v], &e->base[v]))
            e->deltas[e->delta_count + (*count)++] = (delta){v, e->box[v]};
    }
    return BF_STATUS_OK;
}

static bool same_deltas(const delta *a, const delta *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (a[i].variable != b[i].variable || !same_numbers(&a[i].box, &b[i].box)) return false;
    return true;
}

/* Slot of the table that holds the case, or the free one where it belongs. */
static size_t find_slot(const expander *e, uint64_t hash, size_t first, size_t count) {
    size_t slot = hash & (e->table_size - 1);
    for (; e->table[slot]; slot = (slot + 1) & (e->table_size - 1)) {
        const case_entry *c = &e->cases[e->table[slot] - 1];
        if (c->hash == hash && c->delta_count == count &&
            (count == 0 || same_deltas(&e->deltas[c->delta], &e->deltas[first], count)))
            break;
    }
    return slot;
}

static bf_status grow_table(expander *e) {
    if (e->table_size > 2 * e->case_count + 2) return BF_STATUS_OK;
    size_t size = e->table_size ? 4 * e->table_size : 64;
    int32_t *table = bfi_calloc(size, sizeof *table);
    if (!table) return bfi_fail_memory(e->err);
    for (size_t i = 0; i < e->case_count; i++) {
        size_t slot = e->cases[i].hash & (size - 1);
        while (table[slot]) slot = (slot + 1) & (size - 1);
        table[slot] = (int32_t)i + 1;
    }
    free(e->table);
    e->table = table;
    e->table_size = size;
    return BF_STATUS_OK;
}

static bf_status check_bounded(expander *e) {
    for (int32_t i = 0; i < e->unbounded_count; i++) {
        int32_t v = e->unbounded[i];
        const interval *b = e->stamp[v] == e->epoch ? &e->box[v] : &e->base[v];
        if (!isinf(b->lo) && !isinf(b->hi)) continue;
        const char *side = !isinf(b->hi) ? "lower" : !isinf(b->lo) ? "upper" : "lower or upper";
        int32_t line = e->atom_count ? e->f->nodes[e->atoms[0]].line : 0;
        char place_text[48] = "";
        if (line) snprintf(place_text, sizeof place_text, " in the disjunct of line %d", line);
        char name[256];
        int32_t declared = bfi_vnnlib_input_name(e->f, v, name, sizeof name);
        return bfi_fail(e->err, BF_STATUS_PARSE, "%s:%d: %s has no %s bound%s", e->f->name,
                        declared, name, side, place_text);
    }
    return BF_STATUS_OK;
}

/* The case of the current box, new or old. */
static bf_status find_case(expander *e, int32_t *out) {
    size_t count;
    TRY(write_deltas(e, &count));
    TRY(grow_table(e));
    size_t first = e->delta_count;
    uint64_t hash = hash_deltas(count ? &e->deltas[first] : NULL, count);
    size_t slot = find_slot(e, hash, first, count);
    if (!e->table[slot]) {
        TRY(check_bounded(e));
        TRY(bfi_vnnlib_reserve(&e->cases, &e->case_capacity, e->case_count + 1, sizeof *e->cases,
                               e->err));
        e->cases[e->case_count++] = (case_entry){hash, first, count, 0};
        e->delta_count += count;
        e->table[slot] = (int32_t)e->case_count;
    }
    *out = e->table[slot] - 1;
    return BF_STATUS_OK;
}

/* Records the conjunction of the chosen atoms unless its box is empty. */
static bf_status add_disjunct(expander *e) {
    const bfi_vnnlib_formula *f = e->f;
    size_t first_row = e->row_count;
    e->epoch++;
    e->touched_count = 0;
    TRY(bfi_vnnlib_reserve(&e->rows, &e->row_capacity, e->row_count + e->atom_count,
                           sizeof *e->rows, e->err));
    for (size_t i = 0; i < e->atom_count; i++) {
        const bfi_vnnlib_node *n = &f->nodes[e->atoms[i]];
        if (n->kind == BFI_VNNLIB_ROW) {
            e->rows[e->row_count++] = n->first;
        } else {
            const bfi_vnnlib_bound *b = &f->bounds[n->first];
            tighten(box_of(e, b->variable), b, n->line);
        }
    }
    for (int32_t i = 0; i < e->touched_count; i++) {
        if (!is_empty(&e->box[e->touched[i]])) continue;
        e->row_count = first_row;
        return BF_STATUS_OK;
    }
    int32_t in_case;
    TRY(find_case(e, &in_case));
    TRY(bfi_vnnlib_reserve(&e->disjuncts, &e->disjunct_capacity, e->disjunct_count + 1,
                           sizeof *e->disjuncts, e->err));
    e->cases[in_case].disjuncts++;
    e->disjuncts[e->disjunct_count++] =
        (disjunct_entry){in_case, (int32_t)(e->row_count - first_row), first_row};
    return BF_STATUS_OK;
}

/* ---- Walking through all choices ---- */

static bf_status push_place(expander *e, place rest, int32_t *out) {
    TRY(bfi_vnnlib_reserve(&e->places, &e->place_capacity, e->place_count + 1, sizeof *e->places,
                           e->err));
    e->places[e->place_count] = rest;
    *out = (int32_t)e->place_count++;
    return BF_STATUS_OK;
}

/* Makes |node| part of the current disjunct; |at| is what follows it. *|dead|: it is false. */
static bf_status enter(expander *e, int32_t node, place *at, bool *dead) {
    for (;;) {
        const bfi_vnnlib_node *n = &e->f->nodes[node];
        if (n->kind == BFI_VNNLIB_BOUND || n->kind == BFI_VNNLIB_ROW) {
            TRY(bfi_vnnlib_reserve(&e->atoms, &e->atom_capacity, e->atom_count + 1,
                                   sizeof *e->atoms, e->err));
            e->atoms[e->atom_count++] = node;
            return BF_STATUS_OK;
        }
        if (n->kind == BFI_VNNLIB_AND) {
            int32_t up;
            TRY(push_place(e, *at, &up));
            *at = (place){n->first, up};
            return BF_STATUS_OK;
        }
        *dead = n->first < 0;
        if (*dead) return BF_STATUS_OK;
        TRY(bfi_vnnlib_reserve(&e->choices, &e->choice_capacity, e->choice_count + 1,
                               sizeof *e->choices, e->err));
        e->choices[e->choice_count++] = (choice){n->first, *at, e->place_count, e->atom_count};
        node = n->first;
    }
}

/* Takes the next child of the latest `or` that has one; *|more| is false when all were taken. */
static bf_status backtrack(expander *e, place *at, bool *more) {
    for (bool dead = true; dead;) {
        *more = e->choice_count > 0;
        if (!*more) return BF_STATUS_OK;
        choice *c = &e->choices[e->choice_count - 1];
        c->child = e->f->nodes[c->child].next;
        if (c->child < 0) {
            e->choice_count--;
            continue;
        }
        *at = c->rest;
        e->place_count = c->place_count;
        e->atom_count = c->atom_count;
        dead = false;
        TRY(enter(e, c->child, at, &dead));
    }
    return BF_STATUS_OK;
}

static bf_status walk(expander *e) {
    place at = {e->root, -1};
    for (bool more = true; more;) {
        bool dead = false;
        while (!dead && (at.node >= 0 || at.up >= 0)) {
            if (at.node < 0) {
                at = e->places[at.up];
                continue;
            }
            int32_t node = at.node;
            at.node = e->f->nodes[node].next;
            TRY(enter(e, node, &at, &dead));
        }
        if (!dead) TRY(add_disjunct(e));
        TRY(backtrack(e, &at, &more));
    }
    return BF_STATUS_OK;
}

/* ---- The property ---- */

/* What VNN-LIB 2 declares. */
static bf_status copy_network(const expander *e, bf_property *p) {
    const bfi_vnnlib_formula *f = e->f;
    if (!f->network) return BF_STATUS_OK;
    p->network = bfi_strdup(f->network);
    p->variables = bfi_calloc(f->tensor_count, sizeof *p->variables);
    if (!p->network || !p->variables) return bfi_fail_memory(e->err);
    for (size_t i = 0; i < f->tensor_count; i++) {
        bf_variable *v = &p->variables[i];
        *v = f->tensors[i].variable;
        v->name = bfi_strdup(f->tensors[i].variable.name);
        if (!v->name) return bfi_fail_memory(e->err);
        p->variable_count++;
    }
    return BF_STATUS_OK;
}

static bf_status allocate(expander *e, property **out) {
    const bfi_vnnlib_formula *f = e->f;
    size_t rows = e->row_count + e->disjunct_count * (size_t)e->base_row_count, numbers = 0;
    if (!bfi_mul_size(e->case_count, 4 * (size_t)f->n_in, &numbers) ||
        numbers > BFI_VNNLIB_MAX_BOX_NUMBERS)
        return bfi_fail(
            e->err, BF_STATUS_LIMIT,
            "%s: %zu different boxes over %d inputs are more than the %d numbers handled", f->name,
            e->case_count, f->n_in, BFI_VNNLIB_MAX_BOX_NUMBERS);
    property *p = bfi_calloc(1, sizeof *p);
    if (!p) return bfi_fail_memory(e->err);
    *out = p;
    p->public.n_in = f->n_in;
    p->public.n_out = f->n_out;
    p->public.count = (int32_t)e->case_count;
    p->public.cases = bfi_calloc(e->case_count, sizeof *p->public.cases);
    p->public.source = bfi_strdup(f->name);
    p->numbers = bfi_malloc(numbers, sizeof *p->numbers);
    p->polytopes = bfi_calloc(e->disjunct_count, sizeof *p->polytopes);
    p->rows = bfi_malloc(rows, sizeof *p->rows);
    if (!p->public.cases || !p->public.source || !p->numbers || !p->polytopes || !p->rows)
        return bfi_fail_memory(e->err);
    p->terms = f->terms;
    return copy_network(e, &p->public);
}

static void fill_boxes(const expander *e, property *p) {
    size_t n = (size_t)e->f->n_in;
    for (size_t i = 0; i < e->case_count; i++) {
        bf_case *c = &p->public.cases[i];
        c->lo = p->numbers + 4 * n * i;
        c->hi = c->lo + n;
        c->lo_inner = c->hi + n;
        c->hi_inner = c->lo_inner + n;
        const delta *d = e->deltas + e->cases[i].delta, *end = d + e->cases[i].delta_count;
        for (size_t j = 0; j < n; j++) {
            bool own = d < end && (size_t)d->variable == j;
            const interval *b = own ? &d->box : &e->base[j];
            c->lo[j] = b->lo;
            c->hi[j] = b->hi;
            c->lo_inner[j] = b->lo_inner;
            c->hi_inner[j] = b->hi_inner;
            d += own;
        }
    }
}

static bf_halfspace halfspace_of(const bfi_vnnlib_formula *f, int32_t index) {
    const bfi_vnnlib_row *r = &f->rows[index];
    bf_term *y = f->terms + r->term;
    return (bf_halfspace){y,         r->y_count, y + r->y_count, r->x_count,
                          r->rhs_lo, r->rhs_hi,  r->strict};
}

static void fill_disjuncts(const expander *e, property *p) {
    bf_polytope *next = p->polytopes;
    for (size_t i = 0; i < e->case_count; i++) {
        p->public.cases[i].disjuncts = next;
        next += e->cases[i].disjuncts;
    }
    bf_halfspace *row = p->rows;
    for (size_t i = 0; i < e->disjunct_count; i++) {
        const disjunct_entry *d = &e->disjuncts[i];
        bf_case *c = &p->public.cases[d->in_case];
        bf_polytope *polytope = &c->disjuncts[c->count++];
        polytope->rows = row;
        polytope->count = e->base_row_count + d->row_count;
        for (int32_t j = 0; j < e->base_row_count; j++)
            *row++ = halfspace_of(e->f, e->base_rows[j]);
        for (int32_t j = 0; j < d->row_count; j++)
            *row++ = halfspace_of(e->f, e->rows[d->row + (size_t)j]);
    }
}

void bf_property_free(bf_property *public) {
    property *p = (property *)public;
    if (!p) return;
    for (int32_t i = 0; i < p->public.variable_count; i++) free(p->public.variables[i].name);
    free(p->public.variables);
    free(p->public.network);
    free(p->public.cases);
    free(p->public.source);
    free(p->numbers);
    free(p->polytopes);
    free(p->rows);
    free(p->terms);
    free(p);
}

/* Memory stays in proportion to the text: a declaration may name any number of inputs, but every
 * one of them has to be bounded. */
static bf_status check_size(const expander *e) {
    const bfi_vnnlib_formula *f = e->f;
    size_t n = (size_t)f->n_in;
    if (n <= BFI_VNNLIB_MAX_UNBOUNDED || f->bound_count >= n) return BF_STATUS_OK;
    return bfi_fail(e->err, BF_STATUS_PARSE,
                    "%s: has %d inputs, but only %zu bounds: every input needs a lower and an "
                    "upper one",
                    f->name, f->n_in, f->bound_count);
}

static bf_status prepare(expander *e) {
    size_t n = (size_t)e->f->n_in;
    TRY(check_size(e));
    e->base = bfi_malloc(n, sizeof *e->base);
    e->box = bfi_malloc(n, sizeof *e->box);
    e->stamp = bfi_calloc(n, sizeof *e->stamp);
    e->unbounded = bfi_malloc(n, sizeof *e->unbounded);
    e->touched = bfi_malloc(n, sizeof *e->touched);
    e->base_rows = bfi_malloc(e->f->row_count, sizeof *e->base_rows);
    if (!e->base || !e->box || !e->stamp || !e->unbounded || !e->touched || !e->base_rows)
        return bfi_fail_memory(e->err);
    for (size_t i = 0; i < n; i++) e->base[i] = everything;
    return BF_STATUS_OK;
}

static void release(expander *e) {
    free(e->base);
    free(e->box);
    free(e->stamp);
    free(e->unbounded);
    free(e->touched);
    free(e->base_rows);
    free(e->places);
    free(e->choices);
    free(e->atoms);
    free(e->deltas);
    free(e->cases);
    free(e->disjuncts);
    free(e->rows);
    free(e->table);
}

static bf_status build(expander *e, property **out) {
    int32_t last = -1;
    TRY(prepare(e));
    TRY(take_top_level(e, e->f->root, &last));
    TRY(check_base(e));
    TRY(check_extent(e));
    TRY(walk(e));
    TRY(allocate(e, out));
    fill_boxes(e, *out);
    fill_disjuncts(e, *out);
    return BF_STATUS_OK;
}

bf_status bfi_vnnlib_expand(bfi_vnnlib_formula *formula, bf_property **out, bf_error *err) {
    expander e = {.f = formula, .err = err, .root = -1};
    property *p = NULL;
    bf_status status = build(&e, &p);
    release(&e);
    if (status == BF_STATUS_OK) {
        formula->terms = NULL;
        *out = &p->public;
    } else if (p) {
        p->terms = NULL;
        bf_property_free(&p->public);
    }
    return status;
}
