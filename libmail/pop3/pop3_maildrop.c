/* pop3_maildrop.c - what a session remembers of each message: its size, packed, and two bits.
 *
 * RFC 1939 §4 and §5: numbers and sizes are fixed when the maildrop is opened. Sizes lie in blocks
 * of 256 with just as many octets each as the largest needs: a million messages take about 3 MB. */
#include "pop3/pop3_internal.h"

#include <string.h>

static lmail_status seal_block(lmi_pop3_maildrop *m, const lmail_alloc *a, size_t index)
{
    lmi_pop3_block *b = &m->blocks[index];
    uint64_t most = 1;
    for (size_t i = 0; i < b->count; i++)
        most |= m->filling[i];
    uint8_t width = 0;
    while (width < 8 && most >> 8 * width)
        width++;
    unsigned char *octets = lmi_malloc(a, (size_t)b->count * width);
    if (!octets)
        return LMAIL_ERR_NOMEM;
    for (size_t i = 0; i < b->count; i++)
        for (size_t k = 0; k < width; k++)
            octets[i * width + k] = (unsigned char)(m->filling[i] >> 8 * k);
    b->octets = octets;
    b->width = width;
    return LMAIL_OK;
}

static lmail_status more_blocks(lmi_pop3_maildrop *m, const lmail_alloc *a)
{
    size_t cap = m->block_cap ? m->block_cap * 2 : 1;
    lmi_pop3_block *p = lmi_realloc(a, m->blocks, m->block_cap * sizeof *p, cap * sizeof *p);
    if (!p)
        return LMAIL_ERR_NOMEM;
    memset(p + m->block_cap, 0, (cap - m->block_cap) * sizeof *p);
    m->blocks = p;
    m->block_cap = cap;
    return LMAIL_OK;
}

lmail_status lmi_pop3_maildrop_add(lmi_pop3_maildrop *m, const lmail_alloc *a, uint64_t size)
{
    size_t index = m->count / LMI_POP3_BLOCK;
    size_t slot = m->count % LMI_POP3_BLOCK;
    if (m->octets > UINT64_MAX - size)
        return LMAIL_ERR_LIMIT;
    if (!m->filling) {
        m->filling = lmi_malloc(a, LMI_POP3_BLOCK * sizeof *m->filling);
        if (!m->filling)
            return LMAIL_ERR_NOMEM;
    }
    if (index >= m->block_cap && more_blocks(m, a))
        return LMAIL_ERR_NOMEM;
    m->filling[slot] = size;
    m->blocks[index].count = (uint16_t)(slot + 1);
    m->count++;
    m->octets += size;
    return slot + 1 == LMI_POP3_BLOCK ? seal_block(m, a, index) : LMAIL_OK;
}

lmail_status lmi_pop3_maildrop_seal(lmi_pop3_maildrop *m, const lmail_alloc *a)
{
    lmail_status st = LMAIL_OK;
    if (m->count % LMI_POP3_BLOCK)
        st = seal_block(m, a, m->count / LMI_POP3_BLOCK);
    lmi_free(a, m->filling, LMI_POP3_BLOCK * sizeof *m->filling);
    m->filling = NULL;
    return st;
}

static size_t mark_octets(const lmi_pop3_maildrop *m)
{
    return (size_t)m->count / 8 + 1;
}

void lmi_pop3_maildrop_done(lmi_pop3_maildrop *m, const lmail_alloc *a)
{
    for (size_t i = 0; i < m->block_cap; i++)
        lmi_free(a, m->blocks[i].octets, (size_t)m->blocks[i].count * m->blocks[i].width);
    lmi_free(a, m->blocks, m->block_cap * sizeof *m->blocks);
    lmi_free(a, m->filling, LMI_POP3_BLOCK * sizeof *m->filling);
    for (size_t i = 0; i < LMI_POP3_MARKS; i++)
        lmi_free(a, m->marks[i], mark_octets(m));
    *m = (lmi_pop3_maildrop){0};
}

uint64_t lmi_pop3_size(const lmi_pop3_maildrop *m, uint32_t number)
{
    const lmi_pop3_block *b = &m->blocks[(number - 1) / LMI_POP3_BLOCK];
    const unsigned char *at = b->octets + (size_t)((number - 1) % LMI_POP3_BLOCK) * b->width;
    uint64_t size = 0;
    for (size_t k = 0; k < b->width; k++)
        size |= (uint64_t)at[k] << 8 * k;
    return size;
}

int lmi_pop3_marked(const lmi_pop3_maildrop *m, unsigned which, uint32_t number)
{
    const unsigned char *bits = m->marks[which];
    return bits && (bits[(number - 1) / 8] >> (number - 1) % 8 & 1);
}

lmail_status lmi_pop3_mark(lmi_pop3_maildrop *m, const lmail_alloc *a, unsigned which,
                           uint32_t number)
{
    if (lmi_pop3_marked(m, which, number))
        return LMAIL_OK;
    if (!m->marks[which]) {
        m->marks[which] = lmi_zalloc(a, mark_octets(m));
        if (!m->marks[which])
            return LMAIL_ERR_NOMEM;
    }
    unsigned char *at = &m->marks[which][(number - 1) / 8];
    *at = (unsigned char)(*at | 1u << (number - 1) % 8);
    if (which == LMI_POP3_DELETED) {
        m->deleted++;
        m->deleted_octets += lmi_pop3_size(m, number);
    }
    return LMAIL_OK;
}

void lmi_pop3_unmark_deleted(lmi_pop3_maildrop *m, const lmail_alloc *a)
{
    lmi_free(a, m->marks[LMI_POP3_DELETED], mark_octets(m));
    m->marks[LMI_POP3_DELETED] = NULL;
    m->deleted = 0;
    m->deleted_octets = 0;
}
