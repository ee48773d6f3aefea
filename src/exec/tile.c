#include "exec/tile.h"

#include <assert.h>
#include <string.h>

/* What a step asks for. */
enum { SCALE = 1, T_SUM = 2, E_SUM = 4 };

typedef struct group {
    int what;
    const bfi_parameter *pos, *neg;
} group;

static bool same_for_all(const bfi_tile *t, const bfi_parameter *p) {
    return !p->data || p->by == BFI_BY_NOTHING || t->ls == 1 || (p->by == BFI_BY_BOX && t->one_box);
}

static bool same_parameter(const bfi_parameter *a, const bfi_parameter *b) {
    return a->data == b->data && a->by == b->by;
}

/* The vector of lane 0. */
static const void *of_first_lane(const bfi_tile *t, const bfi_parameter *p) {
    return p->data && p->by == BFI_BY_BOX ? bfi_tile_of_box(t, p->data, 0) : p->data;
}

/* The elements that a step works on: |n| of them, where the blocks of the sums end and which
 * element of the layer each is (NULL: the whole layer, blocks of BF_SUM_BLOCK). */
typedef struct elements {
    int64_t n;
    const int32_t *cuts, *index;
    const int32_t *only; /* where they stand (bfi_relax), NULL: one after the other */
} elements;

/* Vector |p| as lane 0 has it; of a window gathered in part |part| of the room. */
static const void *shared_vector(const bfi_tile *t, const bfi_parameter *p, const elements *e,
                                 int part) {
    const void *from = of_first_lane(t, p);
    if (!from || !e->index || p->by == BFI_BY_LANE) return from;
    char *to = (char *)t->room.parameters + (size_t)(part * t->level->widest) * t->size;
    for (int64_t i = 0; i < e->n; i++) {
        int64_t j = e->only ? e->only[i] : i;
        if (t->plan->dtype == BFI_F32)
            ((float *)(void *)to)[j] = ((const float *)from)[e->index[i]];
        else
            ((double *)(void *)to)[j] = ((const double *)from)[e->index[i]];
    }
    return to;
}

/* The parts |what| of the step, parameters as lane 0 has them. */
static bfi_relax shared_call(const bfi_tile *t, const bfi_tile_step *s, const elements *on,
                             int what) {
    bfi_relax r = {.n = on->n,
                   .ls = t->ls,
                   .lanes = t->lanes,
                   .ps = 1,
                   .cuts = on->cuts,
                   .only = on->only,
                   .a = s->a};
    if (what & SCALE) {
        r.out = s->out;
        r.s_pos = shared_vector(t, &s->s_pos, on, 0);
        if (s->s_pos.by == BFI_BY_LANE) r.ps_pos = t->ls;
        r.s_neg =
            same_parameter(&s->s_neg, &s->s_pos) ? r.s_pos : shared_vector(t, &s->s_neg, on, 1);
    }
    if (what & T_SUM) {
        r.t_pos = shared_vector(t, &s->t_pos, on, 2);
        r.t_neg =
            same_parameter(&s->t_neg, &s->t_pos) ? r.t_pos : shared_vector(t, &s->t_neg, on, 3);
        r.t_sum = t->v.t_sum;
    }
    if (what & E_SUM) {
        r.e = shared_vector(t, &s->e, on, 4);
        r.e_sum = t->v.e_sum;
    }
    return r;
}

/* Elements [first, first + n) of |p| for every lane, where they stand or copied to part |part| of
 * the tile's room. */
static const void *lane_block(const bfi_tile *t, const bfi_parameter *p, const elements *on,
                              int64_t first, int64_t n, int part) {
    const int32_t *index = on->index ? on->index + first : NULL;
    size_t row = (size_t)t->ls * t->size, skip = index ? 0 : (size_t)first * t->size;
    if (!p->data) return NULL;
    if (p->by == BFI_BY_LANE) return (const char *)p->data + (size_t)first * row;
    char *room = (char *)t->v.spread + (size_t)part * BF_SUM_BLOCK * row;
    const void *from[BFI_WIDEST_TILE];
    for (int64_t l = 0; l < t->lanes; l++)
        from[l] = (p->by == BFI_BY_BOX ? (const char *)bfi_tile_of_box(t, p->data, l)
                                       : (const char *)p->data) +
                  skip;
    t->run.kernels->spread(&(bfi_spread){
        .n = n, .ls = t->ls, .lanes = t->lanes, .from = from, .index = index, .out = room});
    return room;
}

/* |sum| becomes the block's sum, or has it added. */
static void add_block(const bfi_tile *t, bool start, const void *block, void *sum) {
    if (start) memcpy(sum, block, (size_t)t->lanes * t->size);
    for (int64_t l = 0; l < t->lanes && !start; l++) {
        if (t->plan->dtype == BFI_F32)
            ((float *)sum)[l] += ((const float *)block)[l];
        else
            ((double *)sum)[l] += ((const double *)block)[l];
    }
}

static bfi_relax block_call(const bfi_tile *t, const bfi_tile_step *s, const elements *on, int what,
                            int64_t first, int64_t n) {
    size_t skip = (size_t)(first * t->ls) * t->size;
    char *sums = (char *)t->v.spread + (size_t)(5 * BF_SUM_BLOCK * t->plan->lane_room) * t->size;
    bfi_relax r = {.n = n, .ls = t->ls, .lanes = t->lanes, .ps = t->ls};
    r.a = (const char *)s->a + skip;
    if (what & SCALE) {
        r.out = (char *)s->out + skip;
        r.s_pos = lane_block(t, &s->s_pos, on, first, n, 0);
        r.s_neg = same_parameter(&s->s_neg, &s->s_pos) ? r.s_pos
                                                       : lane_block(t, &s->s_neg, on, first, n, 1);
    }
    if (what & T_SUM) {
        r.t_pos = lane_block(t, &s->t_pos, on, first, n, 2);
        r.t_neg = same_parameter(&s->t_neg, &s->t_pos) ? r.t_pos
                                                       : lane_block(t, &s->t_neg, on, first, n, 3);
        r.t_sum = sums;
    }
    if (what & E_SUM) {
        r.e = lane_block(t, &s->e, on, first, n, 4);
        r.e_sum = sums + (size_t)t->plan->lane_room * t->size;
    }
    return r;
}

/* The parts |what|, whose parameters differ between lanes. Adding the blocks' sums in order is what
 * a kernel does with the whole vector (base/fp.h), so the bits are those of one call. */
static void run_blocks(const bfi_tile *t, const bfi_tile_step *s, const elements *on, int what) {
    const int32_t *cut = on->cuts;
    assert(t->v.spread);
    for (int64_t first = 0, end; first < on->n; first = end) {
        end = cut ? *cut++ : first + BF_SUM_BLOCK < on->n ? first + BF_SUM_BLOCK : on->n;
        bfi_relax r = block_call(t, s, on, what, first, end - first);
        bfi_run_relax(&t->run, &r);
        if (r.t_sum) add_block(t, first == 0, r.t_sum, t->v.t_sum);
        if (r.e_sum) add_block(t, first == 0, r.e_sum, t->v.e_sum);
    }
}

static void run_shared(const bfi_tile *t, const bfi_tile_step *s, const elements *on, int what) {
    bfi_relax r = shared_call(t, s, on, what);
    bfi_run_relax(&t->run, &r);
}

bool bfi_tile_windowed(const bfi_tile *t, int buffer) {
    const bfi_windows *w = &t->plan->windows[t->program - t->plan->programs];
    return t->level && !w->buffers[buffer].whole;
}

bfi_view bfi_tile_view(const bfi_tile *t, int buffer) {
    assert(t->level);
    const bfi_windows *w = &t->plan->windows[t->program - t->plan->programs];
    return (bfi_view){w->buffers[buffer], t->room.rects[buffer]};
}

int64_t bfi_tile_count(const bfi_tile *t, int buffer) {
    if (!bfi_tile_windowed(t, buffer)) return t->program->buffers[buffer].count;
    bfi_view view = bfi_tile_view(t, buffer);
    return view.planes.channels * bfi_rect_area(view.rect);
}

int64_t bfi_tile_place(const bfi_tile *t, int buffer, int64_t index) {
    if (!bfi_tile_windowed(t, buffer)) return index;
    bfi_view view = bfi_tile_view(t, buffer);
    int64_t x = index % view.planes.width, y = index / view.planes.width % view.planes.height,
            channel = index / (view.planes.width * view.planes.height);
    int64_t height = view.rect.y.hi - view.rect.y.lo, width = view.rect.x.hi - view.rect.x.lo;
    assert(y >= view.rect.y.lo && y < view.rect.y.hi);
    assert(x >= view.rect.x.lo && x < view.rect.x.hi);
    return (channel * height + y - view.rect.y.lo) * width + x - view.rect.x.lo;
}

/* Rows of positions of a window that one line takes: all of a plane's where they are whole. */
static int64_t rows_by_line(const bfi_view *v) {
    bool whole_rows = v->rect.x.hi - v->rect.x.lo == v->planes.width;
    return whole_rows ? v->rect.y.hi - v->rect.y.lo : 1;
}

int64_t bfi_tile_lines(const bfi_tile *t, int buffer) {
    if (!bfi_tile_windowed(t, buffer)) return 1;
    bfi_view v = bfi_tile_view(t, buffer);
    if (bfi_rect_area(v.rect) == 0) return 0;
    return v.planes.channels * (v.rect.y.hi - v.rect.y.lo) / rows_by_line(&v);
}

bfi_line bfi_tile_line(const bfi_tile *t, int buffer, int64_t count, int64_t index) {
    if (!bfi_tile_windowed(t, buffer)) return (bfi_line){.n = count};
    bfi_view v = bfi_tile_view(t, buffer);
    int64_t rows = rows_by_line(&v), by_plane = (v.rect.y.hi - v.rect.y.lo) / rows;
    bfi_line line = {.n = rows * (v.rect.x.hi - v.rect.x.lo),
                     .channel = index / by_plane,
                     .y = v.rect.y.lo + index % by_plane,
                     .x = v.rect.x.lo};
    line.first = (line.channel * v.planes.height + line.y) * v.planes.width + line.x;
    return line;
}

void *bfi_tile_at_line(const bfi_tile *t, int buffer, const bfi_line *line) {
    int64_t place = line->first;
    if (bfi_tile_windowed(t, buffer)) {
        bfi_rect r = bfi_tile_view(t, buffer).rect;
        assert(line->y >= r.y.lo && line->y < r.y.hi && line->x >= r.x.lo && line->x < r.x.hi);
        place = (line->channel * (r.y.hi - r.y.lo) + line->y - r.y.lo) * (r.x.hi - r.x.lo) +
                line->x - r.x.lo;
    }
    return (char *)bfi_tile_buffer(t, buffer) + (size_t)(place * t->ls) * t->size;
}

/* Lists a window's elements in the order in which the buffer has them, and the ends of those that
 * share a block of the whole layer's sum. */
static elements list_window(const bfi_tile *t, const bfi_tile_step *s) {
    const uint8_t *active = s->active ? bfi_list_bytes(s->active, s->n) : NULL;
    int32_t n = 0, cut = 0, place = 0;
    int64_t cuts = 0, block = -1;
    for (int64_t i = 0; i < bfi_tile_lines(t, s->of); i++) {
        bfi_line line = bfi_tile_line(t, s->of, s->n, i);
        for (int64_t j = line.first, end = j + line.n, stop; j < end;) {
            if (j / BF_SUM_BLOCK != block && n > cut) t->room.cuts[cuts++] = cut = n;
            block = j / BF_SUM_BLOCK;
            stop = (block + 1) * BF_SUM_BLOCK < end ? (block + 1) * BF_SUM_BLOCK : end;
            for (; j < stop; j++, place++) {
                t->room.only[n] = place;
                t->room.index[n] = (int32_t)j;
                n += !active || active[j];
            }
        }
    }
    if (n > cut) t->room.cuts[cuts++] = n;
    assert(place == bfi_tile_count(t, s->of) && place <= t->level->widest);
    return (elements){
        .n = n, .cuts = t->room.cuts, .index = t->room.index, .only = active ? t->room.only : NULL};
}

static elements list_elements(const bfi_tile *t, const bfi_tile_step *s) {
    if (bfi_tile_windowed(t, s->of)) return list_window(t, s);
    if (s->active) return (elements){.n = s->active[0], .only = s->active + 1};
    return (elements){.n = s->n};
}

/* Parts of the step whose parameters all lanes share, and the others. */
static void split(const bfi_tile *t, const bfi_tile_step *s, int *shared, int *by_lane) {
    const group groups[3] = {{s->out ? SCALE : 0, &s->s_pos, &s->s_neg},
                             {s->t_pos.data ? T_SUM : 0, &s->t_pos, &s->t_neg},
                             {s->e.data ? E_SUM : 0, &s->e, &s->e}};
    *shared = *by_lane = 0;
    /* lower slopes by lane beside shared numbers: the kernels take them as they are */
    bool slopes = s->out && s->s_pos.by == BFI_BY_LANE && same_for_all(t, &s->s_neg);
    for (int g = 0; g < 3; g++) {
        if ((g == 0 && slopes) ||
            (same_for_all(t, groups[g].pos) && same_for_all(t, groups[g].neg)))
            *shared |= groups[g].what;
        else
            *by_lane |= groups[g].what;
    }
}

bool bfi_tile_one_call(const bfi_tile *t, const bfi_tile_step *s, bfi_relax *call) {
    int shared, by_lane;
    if (bfi_tile_windowed(t, s->of)) return false;
    split(t, s, &shared, &by_lane);
    *call = shared_call(t, s, &(elements){.n = s->n}, shared);
    return !by_lane;
}

static void relax_lanes(const bfi_tile *t, const bfi_tile_step *s, const elements *on) {
    int shared, by_lane;
    split(t, s, &shared, &by_lane);
    /* scaling may overwrite what the sums read */
    if (shared && !(shared & SCALE)) run_shared(t, s, on, shared);
    if (by_lane) run_blocks(t, s, on, by_lane);
    if (shared & SCALE) run_shared(t, s, on, shared);
}

static bool by_box(const bfi_tile_step *s) {
    const bfi_parameter *all[5] = {&s->s_pos, &s->s_neg, &s->t_pos, &s->t_neg, &s->e};
    for (int i = 0; i < 5; i++)
        if (all[i]->data && all[i]->by == BFI_BY_BOX) return true;
    return false;
}

static const void *lanes_from(const bfi_tile *t, const void *lanes, int64_t first) {
    return lanes ? (const char *)lanes + (size_t)first * t->size : NULL;
}

static void shift(const bfi_tile *t, bfi_parameter *p, int64_t first) {
    if (p->by == BFI_BY_LANE) p->data = lanes_from(t, p->data, first);
}

/* The step for lanes [first, end) alone; whole groups of BF_LANE_PAD, but for the last lanes. */
static void relax_part(const bfi_tile *t, const bfi_tile_step *s, const elements *on, int64_t first,
                       int64_t end, bool one_box) {
    bfi_tile part = *t;
    bfi_tile_step step = *s;
    part.lanes = end - first, part.one_box = one_box;
    part.v.box += first;
    part.v.t_sum = (char *)part.v.t_sum + (size_t)first * t->size;
    part.v.e_sum = (char *)part.v.e_sum + (size_t)first * t->size;
    step.a = lanes_from(t, step.a, first),
    step.out = (void *)(uintptr_t)lanes_from(t, step.out, first);
    shift(t, &step.s_pos, first), shift(t, &step.s_neg, first);
    shift(t, &step.t_pos, first), shift(t, &step.t_neg, first), shift(t, &step.e, first);
    relax_lanes(&part, &step, on);
}

/* True when the group of lanes from |first| on belongs to one box. */
static bool pure(const bfi_tile *t, int64_t first) {
    for (int64_t l = first + 1; l < first + BF_LANE_PAD && l < t->lanes; l++)
        if (t->v.box[l] != t->v.box[first]) return false;
    return true;
}

/* Groups of lanes of one box share its parameters; only those that several boxes meet in need them
 * written out per lane. */
void bfi_tile_relax(const bfi_tile *t, const bfi_tile_step *s) {
    elements on = list_elements(t, s);
    if (t->one_box || !by_box(s)) {
        relax_lanes(t, s, &on);
        return;
    }
    for (int64_t l = 0, end; l < t->lanes; l = end) {
        bool one_box = pure(t, l);
        end = l + BF_LANE_PAD;
        while (end < t->lanes && pure(t, end) == one_box &&
               (!one_box || t->v.box[end] == t->v.box[l]))
            end += BF_LANE_PAD;
        relax_part(t, s, &on, l, end < t->lanes ? end : t->lanes, one_box);
    }
}

static void multiply_part(const bfi_tile *t, const bfi_packed *w, bfi_op_part of, const void *from,
                          void *to) {
    bfi_part part = {.rows = of.wanted ? of.wanted + 1 : NULL,
                     .terms = of.active ? of.active + 1 : NULL,
                     .row_count = of.wanted ? of.wanted[0] : w->m,
                     .term_count = of.active ? of.active[0] : w->k};
    int64_t chunk = bfi_chunk(2.0 * (double)(part.term_count * t->lanes), 1);
    for (int64_t i = 0; i < part.row_count; i += chunk) {
        if (i && bfi_ws_stopped(t->ws)) return;
        t->run.kernels->linear_part(w, &part, i,
                                    i + chunk < part.row_count ? i + chunk : part.row_count, from,
                                    to, t->ls, t->lanes);
    }
}

void bfi_tile_linear(const bfi_tile *t, const bfi_packed *w, int64_t rows, bfi_op_part part, int a,
                     int out) {
    const char *from = bfi_tile_buffer(t, a);
    char *to = bfi_tile_buffer(t, out);
    if (rows == 1 && (part.active || part.wanted)) {
        multiply_part(t, w, part, from, to);
        return;
    }
    size_t row = (size_t)t->ls * t->size;
    int64_t chunk = bfi_chunk(2.0 * (double)(w->k * t->lanes), BF_PACK);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t m = 0; m < w->m; m += chunk) {
            if ((r || m) && bfi_ws_stopped(t->ws)) return;
            bfi_run_linear(&t->run, w, m, m + chunk < w->m ? m + chunk : w->m,
                           from + (size_t)(r * w->k) * row, to + (size_t)(r * w->m) * row, t->ls,
                           t->lanes);
        }
}

/* The window of |buffer|, or all of |height| x |width| positions. */
static bfi_rect rect_of(const bfi_tile *t, int buffer, int64_t height, int64_t width) {
    return bfi_tile_windowed(t, buffer) ? bfi_tile_view(t, buffer).rect
                                        : (bfi_rect){{0, height}, {0, width}};
}

/* Bytes of |list| for the elements that |buffer| holds, of a window gathered in part |part| of the
 * room. */
static const uint8_t *bytes_of(const bfi_tile *t, const int32_t *list, int buffer, int part) {
    int64_t count = t->program->buffers[buffer].count;
    if (!list) return NULL;
    const uint8_t *from = bfi_list_bytes(list, count);
    if (!bfi_tile_windowed(t, buffer)) return from;
    char *to = (char *)t->room.parameters + (size_t)(part * t->level->widest) * t->size;
    for (int64_t i = 0, at = 0; i < bfi_tile_lines(t, buffer); i++) {
        bfi_line line = bfi_tile_line(t, buffer, count, i);
        memcpy(to + at, from + line.first, (size_t)line.n);
        at += line.n;
    }
    return (const uint8_t *)to;
}

void bfi_tile_conv(const bfi_tile *t, const bfi_conv *whole, int64_t terms, bfi_op_part part, int a,
                   int out) {
    bfi_conv window = *whole, *conv = &window;
    if (t->level)
        window = bfi_conv_window(whole, rect_of(t, a, whole->h_src, whole->w_src),
                                 rect_of(t, out, whole->h_dst, whole->w_dst));
    bfi_conv_part bytes = {bytes_of(t, part.active, a, 0), bytes_of(t, part.wanted, out, 1)};
    int64_t chunk =
        bfi_chunk(2.0 * (double)(conv->groups * conv->c_dst * conv->w_dst * terms * t->lanes), 1);
    for (int64_t y = 0; y < conv->h_dst; y += chunk) {
        int64_t end = y + chunk < conv->h_dst ? y + chunk : conv->h_dst;
        if (y && bfi_ws_stopped(t->ws)) return;
        if (bytes.src || bytes.dst)
            t->run.kernels->conv_part(conv, &bytes, y, end, bfi_tile_buffer(t, a),
                                      bfi_tile_buffer(t, out), t->ls, t->lanes);
        else
            bfi_run_conv(&t->run, conv, y, end, bfi_tile_buffer(t, a), bfi_tile_buffer(t, out),
                         t->ls, t->lanes);
    }
}
