/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The classic capture file (draft-ietf-opsawg-pcap): a header of 24 bytes, then packets, each behind 16 bytes of time
 * and lengths. The magic number tells the byte order and whether fractions are microseconds or nanoseconds. Only
 * version 2.4 is read here; older ones, which swap the two lengths, and variants with other magic numbers are left to
 * libpcap.
 *
 * A packet has no mark by which it is recognised: damage shows as a captured length that cannot be. Seconds are taken
 * as unsigned, so that times reach until 2106.
 */

#include <errno.h>
#include <stdlib.h>

#include "common/timefmt.h"
#include "dataplane/capfile_format.h"

#define MAGIC_US     0xa1b2c3d4u
#define MAGIC_NS     0xa1b23c4du
#define HEADER_BYTES 24u
#define RECORD_BYTES 16
#define AHEAD_BYTES  512u /* where the next packet begins is known too late to fetch it */

struct pcap_state {
    uint32_t link;
    uint32_t fcs_bytes;
    uint32_t fraction_ns; /* ns in one unit of the fraction: 1 or 1000 */
};

static uint32_t magic_of(const uint8_t *head, bool *ret_swapped)
{
    uint32_t magic;

    memcpy(&magic, head, sizeof(magic));
    *ret_swapped = magic == __builtin_bswap32(MAGIC_US) || magic == __builtin_bswap32(MAGIC_NS);
    return *ret_swapped ? __builtin_bswap32(magic) : magic;
}

static bool knows(const uint8_t *head, size_t bytes)
{
    static const uint8_t version_2_4[2][4] = {{2, 0, 4, 0}, {0, 2, 0, 4}};
    bool is_swapped;

    if (bytes < 4)
        return false;
    uint32_t magic = magic_of(head, &is_swapped);
    if (magic != MAGIC_US && magic != MAGIC_NS)
        return false;
    return bytes < 8 || memcmp(head + 4, version_2_4[is_swapped], 4) == 0;
}

static int open_file(struct capfile *file, struct error *e)
{
    const uint8_t *h = file->buf + file->start;
    struct pcap_state *state;

    if (!capfile_has(file, HEADER_BYTES))
        return error_set(e, -EINVAL, "%s is cut: %zu of the 24 bytes of a pcap file header", file->name,
                         file->end - file->start);
    file->state = state = calloc(1, sizeof(*state));
    if (state == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    state->fraction_ns = magic_of(h, &file->is_swapped) == MAGIC_NS ? 1 : 1000;
    uint32_t network = capfile_load32(file, h + 20);
    state->link = network & 0x03ffffff;
    if (network & 0x04000000) /* the length of the FCS is given, in units of 16 bits */
        state->fcs_bytes = (network >> 28) * 2;
    file->n_interfaces = 1;
    file->start += HEADER_BYTES;
    return 0;
}

static enum capfile_status next_packet(struct capfile *file, struct capfile_packet *ret_packet)
{
    const struct pcap_state *state = file->state;
    const uint8_t *h = file->buf + file->start;

    if (!capfile_has(file, RECORD_BYTES))
        return capfile_lacking(file, RECORD_BYTES, "packet");
    uint32_t cap_len = capfile_load32(file, h + 8);
    if (cap_len > CAPFILE_PACKET_MAX)
        return capfile_damaged(file, "a packet of %u captured bytes", cap_len);
    if (!capfile_has(file, RECORD_BYTES + cap_len))
        return capfile_lacking(file, RECORD_BYTES + cap_len, "packet");
    file->start += RECORD_BYTES + cap_len;
    ret_packet->data = h + RECORD_BYTES;
    ret_packet->ts_ns = capfile_load32(file, h) * NS_PER_S + (uint64_t)capfile_load32(file, h + 4) * state->fraction_ns;
    ret_packet->link = state->link;
    capfile_set_lengths(ret_packet, cap_len, capfile_load32(file, h + 12), state->fcs_bytes);
    return CAPFILE_PACKET;
}

/* Whatever is not plain is left to next_packet. */
static unsigned next_few(struct capfile *file, struct capfile_packet *ret_packets, unsigned max)
{
    const struct pcap_state state = *(const struct pcap_state *)file->state;
    const uint8_t *h = file->buf + file->start, *end = file->buf + file->end;
    unsigned n = 0;

    if (file->is_swapped)
        return 0;
    while (n < max && end - h >= RECORD_BYTES) {
        uint32_t head[4]; /* seconds, fraction, captured length, length on the wire */
        memcpy(head, h, sizeof(head));
        if (head[2] > CAPFILE_PACKET_MAX || head[2] > end - h - RECORD_BYTES)
            break;
        struct capfile_packet *p = &ret_packets[n++];
        p->data = h + RECORD_BYTES;
        p->ts_ns = head[0] * NS_PER_S + (uint64_t)head[1] * state.fraction_ns;
        p->link = state.link;
        capfile_set_lengths(p, head[2], head[3], state.fcs_bytes);
        h += RECORD_BYTES + head[2];
        __builtin_prefetch(h + AHEAD_BYTES);
    }
    file->start = (size_t)(h - file->buf);
    return n;
}

static uint32_t interface_link(const struct capfile *file, unsigned i)
{
    const struct pcap_state *state = file->state;

    (void)i;
    return state->link;
}

const struct capfile_format pcap_format = {
    .knows = knows, .open = open_file, .next = next_packet, .next_few = next_few, .interface_link = interface_link};
