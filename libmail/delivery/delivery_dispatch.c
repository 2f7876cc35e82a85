/* delivery_dispatch.c - which destination's work goes next.
 *
 * One entry a destination. It is in one of three places: in a line, when it may have a turn now; in
 * the heap of those that are left alone for a while; in neither, when it has no work or all the
 * turns that it may have.
 *
 * There is a line for each class of priority and each kind of destination: those that answered the
 * last time, those nobody has met yet, those that did not answer. The kinds have shares of the turns,
 * so that however many dead hosts there are, each of which holds its turn for as long as it takes to
 * connect in vain, the living find one free. Within a class the one that has waited longest goes
 * first, and who has had a turn stands at the end again: with equal batches that is a fair share. */
#include "delivery/delivery_internal.h"

#include <string.h>

enum { CLASSES = 3 };
enum { KIND_ALIVE, KIND_UNMET, KIND_DOWN, KINDS };

#define NOT_WAITING SIZE_MAX
#define LONGEST_NAME 512u
#define LOOK_BACK 64u /* old entries that are looked at to make room */
#define LATELY 60000u /* an answer so fresh outweighs one failure */
#define NOISE 8u      /* so many successes outweigh a failure of the same turn */
#define SLOT_BITS 20  /* of a turn's id: its place */
#define ROW 3u        /* turns without success that are no accident any more */

typedef struct entry {
    lmi_node node;
    struct entry *before, *behind; /* in its line */
    size_t size;
    size_t heap_at; /* or NOT_WAITING */
    size_t turns, allowed;
    uint64_t stamp;  /* when it came into the line */
    uint64_t offers; /* how often it was offered */
    lmail_msec until, last_good;
    unsigned class, kind, listed, has_work, failures;
    unsigned row; /* turns in a row without any success */
    lmail_delivery_health health;
    char name[];
} entry;

typedef struct turn {
    uint64_t id; /* 0: free */
    entry *e;
    uint64_t offers;
    unsigned kind;
} turn;

typedef struct line {
    entry *first, *last;
} line;

struct lmail_dispatch {
    lmail_dispatch_config c;
    lmi_table table;
    line lines[CLASSES][KINDS];
    unsigned credit[CLASSES];
    entry **heap; /* by until; room for all entries */
    size_t heap_count, heap_cap;
    turn *turns;
    size_t *free_turns, free_count, slots; /* slots: as many as max_turns ever was */
    size_t kind_turns[KINDS];
    size_t listed;
    uint64_t last_stamp, last_turn;
};

static const unsigned shares[CLASSES] = {8, 4, 1};

/* ---- Making it ------------------------------------------------------------------------------- */

void lmail_dispatch_config_init(lmail_dispatch_config *config)
{
    *config = (lmail_dispatch_config)LMAIL_DISPATCH_CONFIG_INIT;
}

static lmail_status grow_slots(lmail_dispatch *p, size_t count)
{
    const lmail_alloc *a = &p->table.alloc;
    size_t had = p->slots;
    if (count <= had)
        return LMAIL_OK;
    size_t *list = lmi_malloc(a, count * sizeof *list);
    if (!list)
        return LMAIL_ERR_NOMEM;
    turn *turns = lmi_realloc(a, p->turns, had * sizeof *turns, count * sizeof *turns);
    if (!turns) {
        lmi_free(a, list, count * sizeof *list);
        return LMAIL_ERR_NOMEM;
    }
    p->turns = turns;
    for (size_t i = count; i > had; i--) {
        memset(&p->turns[i - 1], 0, sizeof *p->turns);
        list[count - i] = i - 1;
    }
    if (p->free_count)
        memcpy(list + (count - had), p->free_turns, p->free_count * sizeof *list);
    if (p->free_turns)
        lmi_free(a, p->free_turns, had * sizeof *list);
    p->free_turns = list;
    p->free_count += count - had;
    p->slots = count;
    return LMAIL_OK;
}

static lmail_status make_room(lmail_dispatch *p, const lmail_alloc *a)
{
    lmail_status st = lmi_table_init(&p->table, a, p->c.env, p->c.max_destinations);
    return st ? st : grow_slots(p, p->c.max_turns);
}

static void fill_in(lmail_dispatch_config *c)
{
    LMI_DEFAULT(c->max_turns, 200);
    LMI_DEFAULT(c->max_per, 10);
    LMI_DEFAULT(c->max_destinations, 20000);
    LMI_DEFAULT(c->batch, 50);
    LMI_DEFAULT(c->back_off_first, 60000);
    LMI_DEFAULT(c->back_off_most, 1800000);
    LMI_DEFAULT(c->busy_pause, 10000);
    if (c->max_turns > (size_t)1 << SLOT_BITS)
        c->max_turns = (size_t)1 << SLOT_BITS;
    if (c->back_off_first > c->back_off_most)
        c->back_off_first = c->back_off_most;
}

lmail_status lmail_dispatch_new(lmail_dispatch **out, const lmail_dispatch_config *config)
{
    lmail_dispatch_config c;
    lmail_status st = lmi_struct_take(&c, sizeof c, config);
    if (st)
        return st;
    lmail_alloc alloc = lmi_alloc_resolve(&c.alloc);
    lmail_dispatch *p = lmi_zalloc(&alloc, sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    fill_in(&c);
    p->c = c;
    p->table.alloc = alloc;
    memcpy(p->credit, shares, sizeof shares);
    st = make_room(p, &alloc);
    if (st) {
        lmail_dispatch_free(p);
        return st;
    }
    *out = p;
    return LMAIL_OK;
}

lmail_status lmail_dispatch_change(lmail_dispatch *p, const lmail_dispatch_config *config)
{
    lmail_dispatch_config c;
    lmail_status st = lmi_struct_take(&c, sizeof c, config);
    if (st)
        return st;
    fill_in(&c);
    st = grow_slots(p, c.max_turns);
    if (st)
        return st;
    c.alloc = p->c.alloc;
    c.env = p->c.env;
    c.max_destinations = p->c.max_destinations;
    p->c = c;
    return LMAIL_OK;
}

static void drop(lmail_dispatch *p, entry *e)
{
    lmi_table_remove(&p->table, &e->node);
    lmi_free(&p->table.alloc, e, e->size);
}

void lmail_dispatch_free(lmail_dispatch *p)
{
    if (!p)
        return;
    const lmail_alloc a = p->table.alloc;
    while (p->table.oldest)
        drop(p, (entry *)p->table.oldest);
    lmi_table_done(&p->table);
    if (p->turns)
        lmi_free(&a, p->turns, p->slots * sizeof(turn));
    if (p->free_turns)
        lmi_free(&a, p->free_turns, p->slots * sizeof(size_t));
    if (p->heap)
        lmi_free(&a, p->heap, p->heap_cap * sizeof *p->heap);
    lmi_free(&a, p, sizeof *p);
}

/* ---- The heap of those that are left alone ------------------------------------------------------- */

static void heap_set(lmail_dispatch *p, size_t at, entry *e)
{
    p->heap[at] = e;
    e->heap_at = at;
}

static void heap_sift(lmail_dispatch *p, size_t at)
{
    entry *e = p->heap[at];
    for (; at && p->heap[(at - 1) / 2]->until > e->until; at = (at - 1) / 2)
        heap_set(p, at, p->heap[(at - 1) / 2]);
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < p->heap_count && p->heap[child + 1]->until < p->heap[child]->until)
            child++;
        if (child >= p->heap_count || p->heap[child]->until >= e->until)
            break;
        heap_set(p, at, p->heap[child]);
        at = child;
    }
    heap_set(p, at, e);
}

static void heap_remove(lmail_dispatch *p, entry *e)
{
    size_t at = e->heap_at;
    e->heap_at = NOT_WAITING;
    entry *last = p->heap[--p->heap_count];
    if (last == e)
        return;
    heap_set(p, at, last);
    heap_sift(p, at);
}

/* Room for every entry is made when the entry is, so that waiting never needs memory. */
static lmail_status heap_reserve(lmail_dispatch *p, size_t count)
{
    size_t cap = p->heap_cap ? p->heap_cap * 2 : 64;
    if (count <= p->heap_cap)
        return LMAIL_OK;
    entry **heap =
        lmi_realloc(&p->table.alloc, p->heap, p->heap_cap * sizeof *heap, cap * sizeof *heap);
    if (!heap)
        return LMAIL_ERR_NOMEM;
    p->heap = heap;
    p->heap_cap = cap;
    return LMAIL_OK;
}

/* ---- The lines ------------------------------------------------------------------------------- */

static void line_leave(lmail_dispatch *p, entry *e)
{
    line *l = &p->lines[e->class][e->kind];
    if (!e->listed)
        return;
    *(e->before ? &e->before->behind : &l->first) = e->behind;
    *(e->behind ? &e->behind->before : &l->last) = e->before;
    e->listed = 0;
    p->listed--;
}

static void line_join(lmail_dispatch *p, entry *e)
{
    line *l = &p->lines[e->class][e->kind];
    e->before = l->last;
    e->behind = NULL;
    *(l->last ? &l->last->behind : &l->first) = e;
    l->last = e;
    e->stamp = ++p->last_stamp;
    e->listed = 1;
    p->listed++;
}

static unsigned kind_of(const entry *e)
{
    if (e->health == LMAIL_DELIVERY_DOWN)
        return KIND_DOWN;
    return e->health == LMAIL_DELIVERY_NOT_MET ? KIND_UNMET : KIND_ALIVE;
}

/* Take it out of where it was, with any change of class and kind behind it. */
static void displace(lmail_dispatch *p, entry *e)
{
    line_leave(p, e);
    if (e->heap_at != NOT_WAITING)
        heap_remove(p, e);
}

static void place(lmail_dispatch *p, entry *e, lmail_msec now)
{
    if (!e->has_work || e->turns >= e->allowed || e->turns >= p->c.max_per)
        return;
    e->kind = kind_of(e);
    if (e->until <= now) {
        line_join(p, e);
        return;
    }
    heap_set(p, p->heap_count++, e);
    heap_sift(p, p->heap_count - 1);
}

/* ---- Offers ---------------------------------------------------------------------------------- */

/* Who can be forgotten: one without work, the longest unused first; else one that waits. */
static lmail_status make_way(lmail_dispatch *p)
{
    size_t looked = 0;
    if (p->table.count < p->c.max_destinations)
        return LMAIL_OK;
    for (lmi_node *n = p->table.oldest; n && looked < LOOK_BACK; n = n->newer, looked++) {
        entry *e = (entry *)n;
        if (!e->has_work && !e->turns) {
            drop(p, e);
            return LMAIL_OK;
        }
    }
    /* The last places of the heap are leaves: they wait long. */
    for (size_t i = p->heap_count; i && p->heap_count - i < LOOK_BACK; i--) {
        entry *e = p->heap[i - 1];
        if (e->turns)
            continue;
        displace(p, e);
        drop(p, e);
        return LMAIL_OK;
    }
    return LMAIL_ERR_LIMIT;
}

static lmail_status entry_new(lmail_dispatch *p, lmail_str name, entry **out)
{
    lmail_status st = make_way(p);
    if (!st)
        st = heap_reserve(p, p->table.count + 1);
    if (st)
        return st;
    entry *e = lmi_zalloc(&p->table.alloc, sizeof *e + name.len);
    if (!e)
        return LMAIL_ERR_NOMEM;
    e->size = sizeof *e + name.len;
    e->heap_at = NOT_WAITING;
    e->allowed = 1;
    memcpy(e->name, name.ptr, name.len);
    lmi_table_add(&p->table, &e->node, (lmail_str){e->name, name.len});
    *out = e;
    return LMAIL_OK;
}

lmail_status lmail_dispatch_offer(lmail_dispatch *p, lmail_str destination, int priority,
                                  lmail_msec now)
{
    unsigned class = priority > 0 ? 0 : priority == 0 ? 1 : 2;
    if (!destination.len || destination.len > LONGEST_NAME)
        return LMAIL_ERR_ARG;
    entry *e = (entry *)lmi_table_find(&p->table, destination);
    if (!e) {
        lmail_status st = entry_new(p, destination, &e);
        if (st)
            return st;
    }
    lmi_table_touch(&p->table, &e->node);
    e->offers++;
    if (e->has_work && class >= e->class)
        return LMAIL_OK; /* it keeps its place */
    displace(p, e);
    e->class = class;
    e->has_work = 1;
    place(p, e, now);
    return LMAIL_OK;
}

/* ---- Turns ----------------------------------------------------------------------------------- */

static int is_free(const lmail_dispatch *p)
{
    return p->slots - p->free_count < p->c.max_turns;
}

static int has_share(const lmail_dispatch *p, unsigned kind)
{
    size_t quarter = p->c.max_turns / 4;
    size_t down = p->kind_turns[KIND_DOWN], strange = down + p->kind_turns[KIND_UNMET];
    if (!is_free(p))
        return 0;
    if (kind != KIND_ALIVE && strange >= p->c.max_turns - quarter)
        return 0;
    return kind != KIND_DOWN || down < (quarter ? quarter : 1);
}

/* While a crowd of strangers holds most of its share, every second turn of theirs goes to the
 * newest: who comes now does not stand behind all of the crowd. */
static int is_crowded(const lmail_dispatch *p)
{
    size_t share = p->c.max_turns - p->c.max_turns / 4;
    return p->kind_turns[KIND_UNMET] > share / 2 && p->last_turn % 2;
}

/* Who has waited longest in a class, of the kinds that may have a turn. */
static entry *first_of(const lmail_dispatch *p, unsigned class)
{
    entry *first = NULL;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        entry *e = p->lines[class][kind].first;
        if (e && has_share(p, kind) && (!first || e->stamp < first->stamp))
            first = e;
    }
    if (first && first->kind == KIND_UNMET && is_crowded(p))
        return p->lines[class][KIND_UNMET].last;
    return first;
}

static entry *choose(lmail_dispatch *p)
{
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned class = 0; class < CLASSES; class ++) {
            entry *e = p->credit[class] ? first_of(p, class) : NULL;
            if (e) {
                p->credit[class]--;
                return e;
            }
        }
        memcpy(p->credit, shares, sizeof shares);
    }
    return NULL;
}

lmail_status lmail_dispatch_next(lmail_dispatch *p, lmail_msec now, lmail_dispatch_turn *out)
{
    while (p->heap_count && p->heap[0]->until <= now) {
        entry *e = p->heap[0];
        displace(p, e);
        place(p, e, now);
    }
    entry *e = is_free(p) ? choose(p) : NULL;
    if (!e)
        return LMAIL_END;
    size_t slot = p->free_turns[--p->free_count];
    displace(p, e);
    e->turns++;
    p->kind_turns[e->kind]++;
    p->turns[slot] = (turn){++p->last_turn << SLOT_BITS | slot, e, e->offers, e->kind};
    *out = (lmail_dispatch_turn){p->turns[slot].id,
                                 {e->name, e->node.key_len},
                                 e->kind == KIND_DOWN ? 1 : p->c.batch,
                                 e->kind == KIND_DOWN};
    place(p, e, now);
    return LMAIL_OK;
}

static void halve(entry *e)
{
    e->allowed = e->allowed > 1 ? e->allowed / 2 : 1;
}

static void pause(lmail_dispatch *p, entry *e, lmail_msec first, lmail_msec now)
{
    lmail_msec wait = lmi_back_off(first, p->c.back_off_most, ++e->failures);
    e->until = lmi_later(now, lmi_table_spread(&p->table, wait));
}

/* It is there and wants less. */
static void slow_down(lmail_dispatch *p, entry *e, lmail_msec now)
{
    halve(e);
    if (now >= e->until)
        pause(p, e, p->c.busy_pause, now);
}

static void leave_alone(lmail_dispatch *p, entry *e, lmail_msec now)
{
    /* Others of its turns were well a moment ago: this one met a full house. */
    if (e->turns && e->health == LMAIL_DELIVERY_ALIVE && now - e->last_good < LATELY) {
        slow_down(p, e, now);
        return;
    }
    e->allowed = 1;
    if (e->health == LMAIL_DELIVERY_DOWN && now < e->until)
        return; /* another of its turns has said so already */
    if (e->health != LMAIL_DELIVERY_DOWN)
        e->failures = 0;
    e->health = LMAIL_DELIVERY_DOWN;
    pause(p, e, p->c.back_off_first, now);
}

/* A turn that met nobody or a full house, among those that went well. */
static int is_lone(const entry *e, lmail_msec now)
{
    return e->row < ROW && e->health == LMAIL_DELIVERY_ALIVE && now - e->last_good < LATELY;
}

static void learn_good(const lmail_dispatch *p, entry *e, const lmail_dispatch_done *done,
                       lmail_msec now)
{
    e->health = LMAIL_DELIVERY_ALIVE;
    e->failures = e->row = 0;
    e->until = 0;
    e->last_good = now;
    if (done->health != LMAIL_DELIVERY_ALIVE && done->good / NOISE < done->bad)
        halve(e);
    else if (e->allowed < p->c.max_per)
        e->allowed++;
}

static void learn(lmail_dispatch *p, entry *e, const lmail_dispatch_done *done, lmail_msec now)
{
    if (done->health == LMAIL_DELIVERY_NOT_MET)
        return;
    if (done->health == LMAIL_DELIVERY_ALIVE || done->good) {
        learn_good(p, e, done, now);
        return;
    }
    e->row++;
    if (is_lone(e, now)) {
        halve(e);
    } else if (done->health == LMAIL_DELIVERY_DOWN) {
        leave_alone(p, e, now);
    } else {
        if (e->health == LMAIL_DELIVERY_DOWN)
            e->failures = 0;
        e->health = LMAIL_DELIVERY_BUSY;
        slow_down(p, e, now);
    }
}

lmail_status lmail_dispatch_end_turn(lmail_dispatch *p, uint64_t id,
                                     const lmail_dispatch_done *done, lmail_msec now)
{
    size_t slot = (size_t)(id & (((uint64_t)1 << SLOT_BITS) - 1));
    turn *t = &p->turns[slot < p->slots ? slot : 0];
    if (!id || t->id != id)
        return LMAIL_ERR_STALE;
    entry *e = t->e;
    displace(p, e);
    e->turns--;
    p->kind_turns[t->kind]--;
    learn(p, e, done, now);
    if (done->more)
        e->has_work = 1;
    else if (e->offers == t->offers)
        e->has_work = 0;
    t->id = 0;
    p->free_turns[p->free_count++] = (size_t)(t - p->turns);
    lmi_table_touch(&p->table, &e->node);
    place(p, e, now);
    return LMAIL_OK;
}

/* ---- Looking, running ------------------------------------------------------------------------ */

lmail_msec lmail_dispatch_deadline(const lmail_dispatch *p)
{
    return p->heap_count ? p->heap[0]->until : LMAIL_NEVER;
}

static void lift(lmail_dispatch *p, entry *e, lmail_msec now)
{
    if (e->until <= now)
        return;
    displace(p, e);
    e->until = 0;
    place(p, e, now);
}

lmail_status lmail_dispatch_run(lmail_dispatch *p, lmail_str destination, lmail_msec now)
{
    if (!destination.len) {
        for (lmi_node *n = p->table.oldest; n; n = n->newer)
            lift(p, (entry *)n, now);
        return LMAIL_OK;
    }
    entry *e = (entry *)lmi_table_find(&p->table, destination);
    if (!e)
        return LMAIL_ERR_NOTFOUND;
    lift(p, e, now);
    return LMAIL_OK;
}

lmail_status lmail_dispatch_get(const lmail_dispatch *p, lmail_str destination,
                                lmail_dispatch_facts *out)
{
    const entry *e = (const entry *)lmi_table_find(&p->table, destination);
    if (!e)
        return LMAIL_ERR_NOTFOUND;
    *out =
        (lmail_dispatch_facts){e->health, e->turns, e->allowed, e->has_work, e->failures, e->until};
    return LMAIL_OK;
}

void lmail_dispatch_count(const lmail_dispatch *p, lmail_dispatch_counts *out)
{
    *out =
        (lmail_dispatch_counts){p->table.count, p->listed, p->heap_count, p->slots - p->free_count};
}
