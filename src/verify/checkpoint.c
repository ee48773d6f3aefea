#include "verify/checkpoint.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/model.h"
#include "ir/content.h"
#include "plan/identity.h"

static bfi_digest hash_model(const bfi_graph *graph) {
    bfi_blake2b hash;
    bfi_blake2b_start(&hash, sizeof(bfi_digest));
    bfi_content_integer(&hash, graph->count);
    bfi_content_integer(&hash, graph->output);
    for (int id = 0; id < graph->count; id++) {
        const bfi_node *node = &graph->nodes[id];
        bfi_content_node(&hash, node);
        bfi_content_integer(&hash, node->n_inputs);
        for (int i = 0; i < node->n_inputs; i++) bfi_content_integer(&hash, node->inputs[i]);
    }
    return bfi_blake2b_digest(&hash);
}

static void add_terms(bfi_blake2b *hash, const bf_term *terms, int32_t count) {
    bfi_content_integer(hash, count);
    for (int32_t k = 0; k < count; k++) {
        bfi_content_integer(hash, terms[k].index);
        bfi_content_double(hash, terms[k].coef);
        bfi_content_double(hash, terms[k].coef_err);
    }
}

static void add_polytope(bfi_blake2b *hash, const bf_polytope *polytope) {
    bfi_content_integer(hash, polytope->count);
    for (int32_t r = 0; r < polytope->count; r++) {
        const bf_halfspace *h = &polytope->rows[r];
        add_terms(hash, h->y_terms, h->y_count);
        add_terms(hash, h->x_terms, h->x_count);
        bfi_content_double(hash, h->rhs_lo);
        bfi_content_double(hash, h->rhs_hi);
        bfi_content_integer(hash, !!h->strict);
    }
}

static bfi_digest hash_property(const bf_property *p) {
    bfi_blake2b hash;
    bfi_blake2b_start(&hash, sizeof(bfi_digest));
    bfi_content_integer(&hash, p->n_in);
    bfi_content_integer(&hash, p->n_out);
    bfi_content_integer(&hash, p->count);
    for (int32_t i = 0; i < p->count; i++) {
        const bf_case *c = &p->cases[i];
        for (int64_t k = 0; k < p->n_in; k++) {
            bfi_content_double(&hash, c->lo[k]);
            bfi_content_double(&hash, c->hi[k]);
            bfi_content_double(&hash, c->lo_inner[k]);
            bfi_content_double(&hash, c->hi_inner[k]);
        }
        bfi_content_integer(&hash, c->count);
        for (int32_t d = 0; d < c->count; d++) add_polytope(&hash, &c->disjuncts[d]);
    }
    return bfi_blake2b_digest(&hash);
}

/* Executor, tiles, threads and memory change no bit, limits of time no bound. */
static bfi_digest hash_options(const bf_verify_options *options) {
    const bf_options *o = &options->bounds;
    const int64_t whole[] = {
        BFI_BOUNDS_REVISION, BFI_SEARCH_FORMAT, o->method,      o->dtype,
        o->rounding,         o->semantics,      !!o->intersect, !!o->all_neurons,
        !!o->simplify,       o->iterations,     o->intermediate};
    bfi_blake2b hash;
    bfi_blake2b_start(&hash, sizeof(bfi_digest));
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) bfi_content_integer(&hash, whole[i]);
    bfi_content_double(&hash, o->lr);
    bfi_content_double(&hash, o->lr_decay);
    return bfi_blake2b_digest(&hash);
}

bfi_question_key bfi_question_key_of(const bf_model *model, const bf_property *property,
                                     const bf_verify_options *options) {
    return (bfi_question_key){hash_model(model->graph), hash_property(property),
                              hash_options(options)};
}

static void put_states(bfi_sealed_writer *w, const bfi_ledger *ledger) {
    int64_t count = ledger->first[ledger->property->count];
    bfi_sealed_put_integer(w, count);
    for (int64_t d = 0; d < count; d++) {
        const bfi_disjunct_state *s = &ledger->states[d];
        bfi_sealed_put_integer(w, (s->refuted ? 1 : 0) | (s->rounding ? 2 : 0));
        bfi_sealed_put_double(w, s->margin);
    }
}

static void put_nearest(bfi_sealed_writer *w, const bfi_checkpoint *c, int64_t n) {
    bool there = c->x && isfinite(c->nearest);
    bfi_sealed_put_integer(w, there);
    if (!there) return;
    bfi_sealed_put_double(w, c->nearest);
    for (int64_t i = 0; i < n; i++) bfi_sealed_put_double(w, c->x[i]);
}

static void put_search(bfi_sealed_writer *w, const bfi_checkpoint *c) {
    bfi_sealed_put_integer(w, (c->searching ? 1 : 0) | (c->programs ? 2 : 0));
    if (!c->searching) return;
    bfi_sealed_put_integer(w, c->search.case_index);
    bfi_sealed_put_integer(w, c->search.group);
    bfi_sealed_put_integer(w, c->search.nodes);
    bfi_sealed_put_integer(w, c->search.sharpened);
    bfi_sealed_put_integer(w, c->search.attack_at);
    bfi_sealed_put_integer(w, c->search.attacks);
    bfi_sealed_put_integer(w, c->search.stranded);
    bfi_sealed_put_double(w, c->search.stranded_margin);
    bfi_tree_save(c->search.tree, w);
}

bf_status bfi_checkpoint_write(const char *path, const bfi_question_key *key,
                               const bfi_ledger *ledger, const bfi_checkpoint *c, int64_t *bytes,
                               bf_error *err) {
    bfi_sealed_writer *w;
    bf_status status = bfi_sealed_create(path, BFI_CHECKPOINT_MAGIC, &w, err);
    if (status != BF_STATUS_OK) return status;
    bfi_sealed_put(w, key->model.bytes, sizeof key->model.bytes);
    bfi_sealed_put(w, key->property.bytes, sizeof key->property.bytes);
    bfi_sealed_put(w, key->options.bytes, sizeof key->options.bytes);
    bfi_sealed_put_integer(w, c->nodes);
    bfi_sealed_put_double(w, c->seconds);
    put_states(w, ledger);
    put_nearest(w, c, ledger->property->n_in);
    put_search(w, c);
    return bfi_sealed_commit(w, bytes, err);
}

static bf_status refuse(const char *path, const char *what, bf_error *err) {
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "%s: cannot be resumed: it is of %s", path,
                    what);
}

static bool get_digest(bfi_sealed_reader *r, bfi_digest *digest) {
    return bfi_sealed_get(r, digest->bytes, sizeof digest->bytes);
}

static bool same(const bfi_digest *a, const bfi_digest *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bf_status check_key(const char *path, bfi_sealed_reader *r, const bfi_question_key *key,
                           bf_error *err) {
    bfi_question_key found;
    if (!get_digest(r, &found.model) || !get_digest(r, &found.property) ||
        !get_digest(r, &found.options))
        return bfi_fail(err, BF_STATUS_PARSE, "%s: too short", path);
    if (!same(&found.model, &key->model)) return refuse(path, "another network", err);
    if (!same(&found.property, &key->property)) return refuse(path, "another property", err);
    if (!same(&found.options, &key->options))
        return refuse(path,
                      "other options (--method, --branching, --dtype, --semantics and what shapes "
                      "alpha-crown must be the same) or another version of boundflow",
                      err);
    return BF_STATUS_OK;
}

static bool get_states(bfi_sealed_reader *r, bfi_ledger *ledger) {
    int64_t count, flags;
    if (!bfi_sealed_get_integer(r, &count) || count != ledger->first[ledger->property->count])
        return false;
    for (int64_t d = 0; d < count; d++) {
        bfi_disjunct_state *s = &ledger->states[d];
        if (!bfi_sealed_get_integer(r, &flags) || flags < 0 || flags > 3 ||
            !bfi_sealed_get_double(r, &s->margin) || isnan(s->margin))
            return false;
        s->refuted = flags & 1;
        s->rounding = flags >> 1 & 1;
    }
    bfi_ledger_count(ledger);
    return ledger->open_cases > 0; /* nothing decided is ever written */
}

static bool get_nearest(bfi_sealed_reader *r, bfi_checkpoint *c, int64_t n) {
    int64_t there;
    c->nearest = INFINITY;
    if (!bfi_sealed_get_integer(r, &there) || there < 0 || there > 1) return false;
    if (!there) return true;
    c->x = bfi_malloc((size_t)n, sizeof *c->x);
    bool ok = c->x && bfi_sealed_get_double(r, &c->nearest);
    for (int64_t i = 0; i < n && ok; i++) ok = bfi_sealed_get_double(r, &c->x[i]);
    return ok;
}

static bool get_search(bfi_sealed_reader *r, const bfi_ledger *ledger, bfi_checkpoint *c) {
    int64_t flags, index, group, sharpened;
    if (!bfi_sealed_get_integer(r, &flags) || flags < 0 || flags > 3) return false;
    c->searching = flags & 1;
    c->programs = flags >> 1 & 1;
    if (!c->searching) return true;
    if (!bfi_sealed_get_integer(r, &index) || !bfi_sealed_get_integer(r, &group) ||
        !bfi_sealed_get_integer(r, &c->search.nodes) || !bfi_sealed_get_integer(r, &sharpened) ||
        !bfi_sealed_get_integer(r, &c->search.attack_at) ||
        !bfi_sealed_get_integer(r, &c->search.attacks) ||
        !bfi_sealed_get_integer(r, &c->search.stranded) ||
        !bfi_sealed_get_double(r, &c->search.stranded_margin) || c->search.nodes < 1 ||
        sharpened < 0 || sharpened > INT32_MAX || c->search.attack_at < 1 ||
        c->search.attacks < 0 || c->search.stranded < 0 || index < 0 ||
        index >= ledger->property->count || ledger->done[index] || group < 0 ||
        group >= ledger->property->cases[index].count)
        return false;
    c->search.case_index = (int32_t)index;
    c->search.group = (int32_t)group;
    c->search.sharpened = (int32_t)sharpened;
    return bfi_tree_load(r, &c->search.tree, NULL) == BF_STATUS_OK;
}

bf_status bfi_checkpoint_read(const char *path, const bfi_question_key *key, bfi_ledger *ledger,
                              bfi_checkpoint *out, bf_error *err) {
    bfi_sealed_reader *r;
    *out = (bfi_checkpoint){.nearest = INFINITY};
    bf_status status = bfi_sealed_open(path, BFI_CHECKPOINT_MAGIC, &r, err);
    if (status != BF_STATUS_OK) return status;
    status = check_key(path, r, key, err);
    bool whole = status == BF_STATUS_OK && bfi_sealed_get_integer(r, &out->nodes) &&
                 bfi_sealed_get_double(r, &out->seconds) && get_states(r, ledger) &&
                 get_nearest(r, out, ledger->property->n_in) && get_search(r, ledger, out) &&
                 bfi_sealed_left(r) == 0;
    if (status == BF_STATUS_OK && !whole)
        status =
            bfi_fail(err, BF_STATUS_PARSE, "%s: cannot be resumed: its contents do not fit", path);
    bfi_sealed_close(r);
    if (status != BF_STATUS_OK) bfi_checkpoint_clear(out);
    return status;
}

void bfi_checkpoint_clear(bfi_checkpoint *c) {
    free(c->x);
    bfi_tree_free(c->search.tree);
    *c = (bfi_checkpoint){.nearest = INFINITY};
}
