/* policy_map.c - keys and values of an administrator's text file, in a hash table built at load.
 *
 * Open addressing over 64-bit slots that hold the hash beside the entry's number. A search tries many
 * keys and most are not there, so a filter of one word a key stands before the slots: with a
 * million entries it has 1 MiB and stays near, while the slots have 16. Entries lie in one array,
 * keys and values in the one copy of their file.
 *
 * The hash has no secret seed. Keys come from the administrator, never from a peer; a peer only
 * chooses what is looked up, and the longest search is fixed by the file. */
#include "policy/policy_map.h"

#include <string.h>

#define FEWEST 16u
#define HASHED 256u

struct lmi_map_block {
    lmi_map_block *next;
    size_t size; /* with this header */
    char text[];
};

/* Behind the slots, in the same block, lie the words of the filter. */
static size_t filter_words(size_t slots)
{
    return slots / 16;
}

static size_t slots_size(size_t slots)
{
    return (slots + filter_words(slots)) * sizeof(uint64_t);
}

void lmi_map_init(lmi_map *m, const lmail_alloc *alloc)
{
    memset(m, 0, sizeof *m);
    m->alloc = alloc;
    lmi_arena_init(&m->more, alloc, SIZE_MAX);
}

void lmi_map_done(lmi_map *m)
{
    if (m->secret)
        lmi_arena_wipe(&m->more);
    while (m->blocks) {
        lmi_map_block *b = m->blocks;
        m->blocks = b->next;
        if (m->secret)
            lmi_wipe(b->text, b->size - sizeof *b);
        lmi_free(m->alloc, b, b->size);
    }
    if (m->entries)
        lmi_free(m->alloc, m->entries, m->room * sizeof *m->entries);
    if (m->slots)
        lmi_free(m->alloc, m->slots, slots_size(m->slot_count));
    if (m->sources)
        lmi_free(m->alloc, m->sources, LMI_MAP_MAX_SOURCES * sizeof *m->sources);
    lmi_arena_done(&m->more);
    m->entries = NULL;
    m->slots = NULL;
    m->sources = NULL;
    m->count = m->room = m->source_count = 0;
    m->slot_count = 0;
}

lmail_status lmi_map_keep(lmi_map *m, lmail_str in, lmail_str *out)
{
    return lmi_arena_copy(&m->more, in, out);
}

lmail_status lmi_map_source(lmi_map *m, lmail_str name, uint8_t *number)
{
    if (m->source_count == LMI_MAP_MAX_SOURCES)
        return LMAIL_ERR_LIMIT;
    if (!m->sources)
        m->sources = lmi_malloc(m->alloc, LMI_MAP_MAX_SOURCES * sizeof *m->sources);
    if (!m->sources)
        return LMAIL_ERR_NOMEM;
    lmail_status st = lmi_map_keep(m, name, &m->sources[m->source_count]);
    if (st)
        return st;
    *number = (uint8_t)m->source_count++;
    return LMAIL_OK;
}

lmail_str lmi_map_source_name(const lmi_map *m, const lmi_map_entry *e)
{
    return e->source < m->source_count ? m->sources[e->source] : (lmail_str){NULL, 0};
}

lmail_str lmi_map_key(const lmi_map_entry *e)
{
    return (lmail_str){e->key, e->key_len};
}

lmail_str lmi_map_value(const lmi_map_entry *e)
{
    return (lmail_str){e->value, e->value_len};
}

/* ---- The table ------------------------------------------------------------------------------- */

/* Eight octets a step over the two pieces joined; what lies behind HASHED octets only counts by its
 * length. */
static uint32_t hash_two(lmail_str head, lmail_str tail)
{
    char key[HASHED + 8];
    size_t n = head.len < HASHED ? head.len : HASHED;
    size_t m = tail.len < HASHED - n ? tail.len : HASHED - n;
    if (n)
        memcpy(key, head.ptr, n);
    if (m)
        memcpy(key + n, tail.ptr, m);
    memset(key + n + m, 0, 8);
    uint64_t h = (head.len + tail.len) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < n + m; i += 8) {
        uint64_t word;
        memcpy(&word, key + i, 8);
        h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
        h ^= h >> 29;
    }
    return (uint32_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static int same_two(const lmi_map_entry *e, lmail_str head, lmail_str tail)
{
    return e->key_len == head.len + tail.len &&
           (head.len == 0 || memcmp(e->key, head.ptr, head.len) == 0) &&
           (tail.len == 0 || memcmp(e->key + head.len, tail.ptr, tail.len) == 0);
}

/* The word that knows a hash, and its three bits in it. */
static uint64_t *filter_word(const lmi_map *m, uint32_t hash, uint64_t *bits)
{
    uint64_t spread = hash * UINT64_C(0x9fb21c651e98df25);
    *bits = UINT64_C(1) << (spread >> 58) | UINT64_C(1) << (spread >> 52 & 63) |
            UINT64_C(1) << (spread >> 46 & 63);
    return &m->slots[m->slot_count + ((spread >> 18) & (filter_words(m->slot_count) - 1))];
}

static void enter(lmi_map *m, uint64_t *slot, uint32_t hash, uint32_t number)
{
    uint64_t bits, *word = filter_word(m, hash, &bits);
    *word |= bits;
    *slot = (uint64_t)hash << 32 | number;
}

/* The slot of a key, or the free one where it would stand. There is always a free one. */
static uint64_t *slot_of(const lmi_map *m, uint32_t hash, lmail_str head, lmail_str tail)
{
    size_t i = hash & (m->slot_count - 1);
    for (; m->slots[i]; i = (i + 1) & (m->slot_count - 1))
        if (m->slots[i] >> 32 == hash &&
            same_two(&m->entries[(uint32_t)m->slots[i] - 1], head, tail))
            break;
    return &m->slots[i];
}

const lmi_map_entry *lmi_map_find2(const lmi_map *m, lmail_str head, lmail_str tail)
{
    if (m->count == 0)
        return NULL;
    uint32_t hash = hash_two(head, tail);
    uint64_t bits, *word = filter_word(m, hash, &bits);
    if ((*word & bits) != bits)
        return NULL;
    uint64_t slot = *slot_of(m, hash, head, tail);
    return slot ? &m->entries[(uint32_t)slot - 1] : NULL;
}

const lmi_map_entry *lmi_map_find(const lmi_map *m, lmail_str key)
{
    return lmi_map_find2(m, key, (lmail_str){NULL, 0});
}

/* At most half of the slots are taken. */
static lmail_status grow_slots(lmi_map *m, size_t entries)
{
    size_t count = FEWEST;
    while (count < entries * 2)
        count *= 2;
    if (count <= m->slot_count)
        return LMAIL_OK;
    uint64_t *slots = lmi_zalloc(m->alloc, slots_size(count));
    if (!slots)
        return LMAIL_ERR_NOMEM;
    if (m->slots)
        lmi_free(m->alloc, m->slots, slots_size(m->slot_count));
    m->slots = slots;
    m->slot_count = count;
    for (uint32_t e = 0; e < m->count; e++) {
        size_t i = m->entries[e].hash & (count - 1);
        while (slots[i])
            i = (i + 1) & (count - 1);
        enter(m, &slots[i], m->entries[e].hash, e + 1);
    }
    return LMAIL_OK;
}

lmail_status lmi_map_reserve(lmi_map *m, size_t more)
{
    if (more > UINT32_MAX / 4 - m->count)
        return LMAIL_ERR_LIMIT;
    uint32_t want = m->count + (uint32_t)more;
    if (want <= m->room)
        return LMAIL_OK;
    if (want < FEWEST)
        want = FEWEST;
    lmi_map_entry *entries =
        lmi_realloc(m->alloc, m->entries, m->room * sizeof *entries, want * sizeof *entries);
    if (!entries)
        return LMAIL_ERR_NOMEM;
    m->entries = entries;
    m->room = want;
    return grow_slots(m, want);
}

lmail_status lmi_map_add(lmi_map *m, const lmi_map_entry *e, const lmi_map_entry **old)
{
    lmail_str key = lmi_map_key(e), none = {NULL, 0};
    if (m->count == m->room || m->count * (size_t)2 >= m->slot_count) {
        lmail_status st = lmi_map_reserve(m, m->count + FEWEST);
        if (st == LMAIL_OK)
            st = grow_slots(m, m->room);
        if (st)
            return st;
    }
    uint32_t hash = hash_two(key, none);
    uint64_t *slot = slot_of(m, hash, key, none);
    if (*slot) {
        if (old)
            *old = &m->entries[(uint32_t)*slot - 1];
        return LMAIL_ERR_EXISTS;
    }
    m->entries[m->count] = *e;
    m->entries[m->count].hash = hash;
    enter(m, slot, hash, ++m->count);
    return LMAIL_OK;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

int lmi_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void lmi_map_fold(char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ptr[i] = lmi_ascii_lower(ptr[i]);
}

/* Lines that may hold an entry. */
static size_t lines_in(lmail_str s)
{
    size_t n = 0;
    while (s.len) {
        n += *s.ptr != '#' && *s.ptr != '\n' && *s.ptr != '\r';
        s = lmi_str_skip(s, lmi_str_find(s, '\n') + 1);
    }
    return n;
}

lmail_status lmi_map_copy(lmi_map *m, lmail_str octets, lmi_map_lines *lines)
{
    if (octets.len >= 3 && memcmp(octets.ptr, "\xef\xbb\xbf", 3) == 0)
        octets = lmi_str_skip(octets, 3);
    if (octets.len >= UINT32_MAX)
        return LMAIL_ERR_LIMIT;
    lmail_status st = lmi_map_reserve(m, lines_in(octets));
    if (st)
        return st;
    size_t size = sizeof(lmi_map_block) + octets.len + 1;
    lmi_map_block *b = lmi_malloc(m->alloc, size);
    if (!b)
        return LMAIL_ERR_NOMEM;
    b->size = size;
    b->next = m->blocks;
    m->blocks = b;
    if (octets.len)
        memcpy(b->text, octets.ptr, octets.len);
    *lines = (lmi_map_lines){b->text, b->text + octets.len, 0};
    return LMAIL_OK;
}

int lmi_map_line(lmi_map_lines *lines, lmi_map_text_line *line)
{
    while (lines->at < lines->end) {
        char *begin = lines->at;
        char *stop = memchr(begin, '\n', (size_t)(lines->end - begin));
        lines->at = stop ? stop + 1 : lines->end;
        lines->number++;
        stop = stop ? stop : lines->end;
        if (*begin == '#')
            continue;
        if (stop > begin && stop[-1] == '\r')
            stop--;
        while (stop > begin && lmi_is_blank(stop[-1]))
            stop--;
        char *first = begin;
        while (first < stop && lmi_is_blank(*first))
            first++;
        if (first == stop)
            continue;
        *line = (lmi_map_text_line){first, (size_t)(stop - first), lines->number, first > begin};
        return 1;
    }
    return 0;
}
