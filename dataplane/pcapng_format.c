/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * pcapng (draft-ietf-opsawg-pcapng): blocks, each with its length in front and behind. A section header sets the byte
 * order and forgets the interfaces; an interface description adds one with its link type, snap length and time scale;
 * enhanced, simple and obsolete packet blocks carry packets. All other blocks are skipped, however long, without being
 * held in memory.
 *
 * Every length is compared with the block, and the block's two lengths with each other, so that damage is noticed at
 * the block where it is. Section lengths are not used: blocks tell where they end.
 *
 * A simple packet block has no time; it gets that of the packet before it in the file. Times beyond the year 2262
 * (INT64_MAX ns) are held there, and times before 1970 at 1970. if_fcslen counts bits by the text of the draft, bytes
 * in its example and in files: both are understood, as no FCS has more than 8 bytes or fewer than 8 bits.
 */

#include <errno.h>
#include <stdlib.h>

#include "common/timefmt.h"
#include "dataplane/capfile_format.h"

#define INTERFACES_MAX 4096u

enum block_type {
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 2,
    BLOCK_SIMPLE = 3,
    BLOCK_ENHANCED = 6,
    BLOCK_SECTION = 0x0a0d0d0a,
};
enum if_option { IF_TSRESOL = 9, IF_FCSLEN = 13, IF_TSOFFSET = 14 };

#define BLOCK_BYTES     12u /* type and both lengths */
#define SECTION_BYTES   28u
#define INTERFACE_BYTES 20u
#define PACKET_BYTES    32u /* enhanced or obsolete, without packet data */
#define SIMPLE_BYTES    16u

/* ns = ticks / div * mult >> shift, + offset_s */
struct interface {
    uint64_t mult, div;
    int64_t offset_s;
    uint32_t link;
    uint32_t snap_len; /* 0: no limit */
    uint8_t shift;
    uint8_t fcs_bytes;
};

struct pcapng_state {
    uint64_t last_ns;
    uint64_t skip_bytes;                        /* of a block that does not matter, up to its second length */
    uint32_t skip_len;                          /* which must have this value; 0: no block is being skipped */
    struct interface interface[INTERFACES_MAX]; /* file->n_interfaces of them */
};

/* ---- sections and interfaces ---- */

static bool has_block_end(struct capfile *file, const uint8_t *block, uint32_t len)
{
    return capfile_load32(file, block + len - 4) == len;
}

static enum capfile_status check_length(struct capfile *file, uint32_t len, uint32_t least, const char *what)
{
    if (len < least || len % 4 != 0)
        return capfile_damaged(file, "a %s of %u bytes", what, len);
    return CAPFILE_PACKET;
}

/* Reads the fixed part; the rest of the section header is skipped like any other block. */
static enum capfile_status start_section(struct capfile *file)
{
    static const uint8_t order[2][4] = {{0x4d, 0x3c, 0x2b, 0x1a}, {0x1a, 0x2b, 0x3c, 0x4d}};
    struct pcapng_state *state = file->state;
    const uint8_t *h = file->buf + file->start;

    if (!capfile_has(file, SECTION_BYTES))
        return capfile_lacking(file, SECTION_BYTES, "section header");
    if (memcmp(h + 8, order[0], 4) != 0 && memcmp(h + 8, order[1], 4) != 0)
        return capfile_damaged(file, "a section header without byte order");
    file->is_swapped = memcmp(h + 8, order[1], 4) == 0;
    unsigned major = capfile_load16(file, h + 12), minor = capfile_load16(file, h + 14);
    if (major != 1)
        return capfile_damaged(file, "a section of pcapng version %u.%u, which is not known", major, minor);
    uint32_t len = capfile_load32(file, h + 4);
    if (check_length(file, len, SECTION_BYTES, "section header") != CAPFILE_PACKET)
        return CAPFILE_CUT;
    file->n_interfaces = 0;
    file->start += SECTION_BYTES - 4;
    state->skip_bytes = len - SECTION_BYTES;
    state->skip_len = len;
    return CAPFILE_PACKET;
}

static bool set_time_scale(struct interface *i, uint8_t resolution)
{
    unsigned power = resolution & 0x7f;

    i->mult = i->div = 1;
    i->shift = 0;
    if (resolution & 0x80) {
        i->mult = NS_PER_S;
        i->shift = (uint8_t)power;
        return power < 64;
    }
    for (unsigned p = power; p < 9; p++)
        i->mult *= 10;
    for (unsigned p = 9; p < power && p < 19; p++)
        i->div *= 10;
    return power <= 19;
}

static bool set_option(struct capfile *file, struct interface *i, unsigned code, const uint8_t *value, unsigned len)
{
    if (code == IF_TSRESOL && len == 1)
        return set_time_scale(i, *value);
    if (code == IF_TSOFFSET && len == 8)
        i->offset_s = (int64_t)capfile_load64(file, value);
    if (code == IF_FCSLEN && len == 1)
        i->fcs_bytes = *value < 8 ? *value : *value / 8;
    return true;
}

static enum capfile_status set_options(struct capfile *file, struct interface *i, const uint8_t *o, const uint8_t *end)
{
    while (end - o >= 4) {
        unsigned code = capfile_load16(file, o), len = capfile_load16(file, o + 2);
        if (code == 0)
            break;
        if (len > (size_t)(end - o - 4))
            return capfile_damaged(file, "option %u of an interface has %u bytes, more than its block", code, len);
        if (!set_option(file, i, code, o + 4, len))
            return capfile_damaged(file, "an interface with the time resolution 0x%02x, which cannot be", o[4]);
        o += 4 + (len + 3) / 4 * 4; /* len is padded; end - o is a multiple of 4 */
    }
    return CAPFILE_PACKET;
}

static enum capfile_status add_interface(struct capfile *file, const uint8_t *h, uint32_t len)
{
    struct pcapng_state *state = file->state;

    if (file->n_interfaces == INTERFACES_MAX)
        return capfile_damaged(file, "a section with more than %u interfaces", INTERFACES_MAX);
    struct interface *i = &state->interface[file->n_interfaces];
    *i = (struct interface){.link = capfile_load16(file, h + 8), .snap_len = capfile_load32(file, h + 12)};
    set_time_scale(i, 6);
    if (set_options(file, i, h + 16, h + len - 4) != CAPFILE_PACKET)
        return CAPFILE_CUT;
    file->n_interfaces++;
    return CAPFILE_PACKET;
}

/* ---- packets ---- */

static uint64_t time_ns(const struct interface *i, uint64_t ticks)
{
    if (i->div != 1)
        ticks /= i->div;
    __int128 ns = (__int128)(((unsigned __int128)ticks * i->mult) >> i->shift);
    if (i->offset_s != 0)
        ns += (__int128)i->offset_s * (__int128)NS_PER_S;
    if (ns < 0)
        return 0;
    return ns > INT64_MAX ? (uint64_t)INT64_MAX : (uint64_t)ns;
}

static enum capfile_status set_packet(struct capfile *file, struct capfile_packet *ret_packet, const uint8_t *data,
                                      const struct interface *i, uint32_t cap_len, uint32_t wire_len)
{
    if (cap_len > CAPFILE_PACKET_MAX)
        return capfile_damaged(file, "a packet of %u captured bytes", cap_len);
    ret_packet->data = data;
    ret_packet->link = i->link;
    capfile_set_lengths(ret_packet, cap_len, wire_len, i->fcs_bytes);
    return CAPFILE_PACKET;
}

/* Enhanced and obsolete blocks differ only in how the interface is told. */
static enum capfile_status read_packet(struct capfile *file, struct capfile_packet *ret_packet, const uint8_t *h,
                                       uint32_t len, uint32_t index)
{
    struct pcapng_state *state = file->state;
    uint32_t cap_len = capfile_load32(file, h + 20);

    if (index >= file->n_interfaces)
        return capfile_damaged(file, "a packet of interface %u, where the section has %u", index, file->n_interfaces);
    if (cap_len > len - PACKET_BYTES)
        return capfile_damaged(file, "a packet of %u captured bytes in a block of %u", cap_len, len);
    const struct interface *i = &state->interface[index];
    uint64_t ticks = (uint64_t)capfile_load32(file, h + 12) << 32 | capfile_load32(file, h + 16);
    ret_packet->ts_ns = state->last_ns = time_ns(i, ticks);
    return set_packet(file, ret_packet, h + 28, i, cap_len, capfile_load32(file, h + 24));
}

static enum capfile_status read_simple(struct capfile *file, struct capfile_packet *ret_packet, const uint8_t *h,
                                       uint32_t len)
{
    struct pcapng_state *state = file->state;
    const struct interface *i = &state->interface[0];
    uint32_t wire_len = capfile_load32(file, h + 8), cap_len = wire_len;

    if (file->n_interfaces == 0)
        return capfile_damaged(file, "a packet without an interface");
    if (i->snap_len != 0 && cap_len > i->snap_len)
        cap_len = i->snap_len;
    if (cap_len > len - SIMPLE_BYTES)
        return capfile_damaged(file, "a packet of %u captured bytes in a block of %u", cap_len, len);
    ret_packet->ts_ns = state->last_ns;
    return set_packet(file, ret_packet, h + 12, i, cap_len, wire_len);
}

/* ---- blocks ---- */

static enum capfile_status skip_rest(struct capfile *file)
{
    struct pcapng_state *state = file->state;
    size_t here = file->end - file->start;
    size_t bytes = state->skip_bytes < here ? (size_t)state->skip_bytes : here;

    file->start += bytes;
    state->skip_bytes -= bytes;
    if (state->skip_bytes != 0 || !capfile_has(file, 4)) {
        enum capfile_status status = capfile_lacking(file, 4, "block");
        return status == CAPFILE_EOF ? capfile_cut(file, "block") : status;
    }
    if (capfile_load32(file, file->buf + file->start) != state->skip_len)
        return capfile_damaged(file, "the end of a block of %u bytes says %u", state->skip_len,
                               capfile_load32(file, file->buf + file->start));
    file->start += 4;
    state->skip_len = 0;
    return CAPFILE_PACKET;
}

/* Bytes that a block of the type has at least; 0: it is skipped. */
static uint32_t least_bytes(uint32_t type)
{
    switch (type) {
    case BLOCK_INTERFACE:
        return INTERFACE_BYTES;
    case BLOCK_PACKET:
    case BLOCK_ENHANCED:
        return PACKET_BYTES;
    case BLOCK_SIMPLE:
        return SIMPLE_BYTES;
    default:
        return 0;
    }
}

static void skip_block(struct capfile *file, uint32_t len)
{
    struct pcapng_state *state = file->state;

    file->start += 8;
    state->skip_bytes = len - BLOCK_BYTES;
    state->skip_len = len;
}

/* One block. *ret_has_packet tells whether it was one of packets; the status is that of the reader. */
static enum capfile_status read_block(struct capfile *file, struct capfile_packet *ret_packet, bool *ret_has_packet)
{
    const uint8_t *h = file->buf + file->start;

    if (!capfile_has(file, BLOCK_BYTES))
        return capfile_lacking(file, BLOCK_BYTES, "block");
    uint32_t type = capfile_load32(file, h), len = capfile_load32(file, h + 4), least = least_bytes(type);
    if (type == BLOCK_SECTION)
        return start_section(file);
    if (check_length(file, len, least != 0 ? least : BLOCK_BYTES, "block") != CAPFILE_PACKET)
        return CAPFILE_CUT;
    if (least == 0) {
        skip_block(file, len);
        return CAPFILE_PACKET;
    }
    if (!capfile_has(file, len))
        return capfile_lacking(file, len, type == BLOCK_INTERFACE ? "description of an interface" : "packet block");
    if (!has_block_end(file, h, len))
        return capfile_damaged(file, "a block of %u bytes, whose end says %u", len, capfile_load32(file, h + len - 4));
    enum capfile_status status;
    if (type == BLOCK_INTERFACE)
        status = add_interface(file, h, len);
    else if (type == BLOCK_SIMPLE)
        status = read_simple(file, ret_packet, h, len);
    else
        status = read_packet(file, ret_packet, h, len,
                             type == BLOCK_PACKET ? capfile_load16(file, h + 8) : capfile_load32(file, h + 8));
    *ret_has_packet = type != BLOCK_INTERFACE;
    if (status == CAPFILE_PACKET)
        file->start += len;
    return status;
}

static enum capfile_status next_packet(struct capfile *file, struct capfile_packet *ret_packet)
{
    struct pcapng_state *state = file->state;
    enum capfile_status status = CAPFILE_PACKET;
    bool has_packet = false;

    while (status == CAPFILE_PACKET && !has_packet)
        status = state->skip_len != 0 ? skip_rest(file) : read_block(file, ret_packet, &has_packet);
    return status;
}

/* ---- file ---- */

static bool knows(const uint8_t *head, size_t bytes)
{
    static const uint8_t section[4] = {0x0a, 0x0d, 0x0d, 0x0a};

    return bytes >= sizeof(section) && memcmp(head, section, sizeof(section)) == 0;
}

static int open_file(struct capfile *file, struct error *e)
{
    file->state = calloc(1, sizeof(struct pcapng_state));
    if (file->state == NULL)
        return error_set(e, -ENOMEM, "out of memory");
    if (start_section(file) != CAPFILE_PACKET)
        return error_set(e, -EINVAL, "%s", file->reason.text);
    return 0;
}

static uint32_t interface_link(const struct capfile *file, unsigned i)
{
    const struct pcapng_state *state = file->state;

    return state->interface[i].link;
}

const struct capfile_format pcapng_format = {
    .knows = knows, .open = open_file, .next = next_packet, .interface_link = interface_link};
