/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * GRE (RFC 2784, key and sequence number RFC 2890) with IP, MPLS and Ethernet inside, NVGRE (RFC 7637), PPTP's version
 * 1 (RFC 2637), and ERSPAN types I, II and III (draft-foschiano-erspan-03).
 *
 * The key, where there is one, is in the flow's key: RFC 2890 leaves its use open, but both ends of a tunnel are
 * configured with the same one in practice. Of an NVGRE key the upper 24 bits are the tenant (VSID) and the lower 8
 * belong to the flow; VSIDs below 0x1000 are reserved, so such a key is an ordinary one and counts whole. PPTP's call
 * id names the receiver's call: attribute only.
 *
 * ERSPAN I is a GRE header without sequence number and then the mirrored frame; II has 8 bytes between them and III 12,
 * or 20 with a platform's part. The session id is the mirror's, not the tenant's: attribute only. Type II says when it
 * took a tag off the frame (EN), and which: the tag then counts as one of the frame. Either says when it cut the frame
 * (T). The VLAN of type III is that of the port also where the frame had no tag, so it is not used.
 *
 * Limits: RFC 1701's routing fields are refused; so is everything whose type is not named here (NHRP, WCCP, ...): it
 * stays a GRE flow.
 */

#include "dataplane/decode/tunnel.h"

enum gre_flag {
    GRE_CHECKSUM = 0x8000,
    GRE_KEY = 0x2000,
    GRE_SEQUENCE = 0x1000,
    GRE_MUST_BE_0 = 0x4c00, /* routing, strict source route, two of the recursion bits */
    GRE_ACK = 0x0080,       /* version 1 */
    GRE_VERSION = 0x0007,
};

static void push_vlan(struct pkt *p, uint16_t vlan)
{
    if (p->n_vlans < MAX_VLANS)
        p->vlan[p->n_vlans++] = vlan;
}

/* Version 1, VLAN, class, EN, T, session; the index. */
static enum layer decode_erspan2(struct cursor *c, struct pkt *p)
{
    if (!need(c, 8))
        return drop_short(p);
    uint32_t word = load_be32(c->p);
    unsigned encapsulation = word >> 11 & 3;

    if (word >> 28 != 1)
        return refuse(p);
    advance(c, 8);
    enter_tunnel(c, p, TUNNEL_ERSPAN, word & 0x3ff, TUNNEL_ATTRIBUTE, LAYER_ethernet);
    if (encapsulation == 1 || encapsulation == 2)
        push_vlan(p, word >> 16 & 0xfff);
    if (word & 0x400)
        p->flags |= PKT_TRUNCATED;
    return LAYER_ethernet;
}

/* Version 2, VLAN, class, BSO, T, session; time stamp; group tag, P, frame type, hardware, direction, unit, O. */
static enum layer decode_erspan3(struct cursor *c, struct pkt *p)
{
    if (!need(c, 12))
        return drop_short(p);
    uint32_t word = load_be32(c->p);
    uint16_t tail = load_be16(c->p + 10);
    unsigned frame_type = tail >> 10 & 0x1f;
    uint32_t header_bytes = tail & 1 ? 20 : 12;

    if (word >> 28 != 2 || (frame_type != 0 && frame_type != 2))
        return refuse(p);
    if (!need(c, header_bytes + 1))
        return drop_short(p);
    advance(c, header_bytes);
    if (word & 0x400)
        p->flags |= PKT_TRUNCATED;
    return enter_tunnel(c, p, TUNNEL_ERSPAN, word & 0x3ff, TUNNEL_ATTRIBUTE,
                        frame_type == 0 ? LAYER_ethernet : ip_version(c));
}

bool erspan3_timestamp(const uint8_t header[12], uint64_t *ret_ns)
{
    static const uint64_t unit_ns[4] = {100000, 100, 1, 0}; /* 100 us, 100 ns, IEEE 1588, the vendor's own */
    uint64_t unit = unit_ns[header[11] >> 1 & 3];

    if (unit == 0)
        return false;
    *ret_ns = load_be32(header + 4) * unit;
    return true;
}

/* Key: payload length and call id. Without a sequence number it only acknowledges. */
static enum layer decode_pptp(struct cursor *c, struct pkt *p, uint16_t flags, uint16_t type)
{
    uint32_t header_bytes = flags & GRE_ACK ? 16 : 12;

    if (type != 0x880b || !(flags & GRE_KEY) || !(flags & GRE_SEQUENCE) || (flags & (GRE_CHECKSUM | GRE_MUST_BE_0)))
        return refuse(p);
    if (!need(c, header_bytes))
        return drop_short(p);
    uint32_t payload_bytes = load_be16(c->p + 4);
    uint16_t call = load_be16(c->p + 6);
    advance(c, header_bytes);
    if (payload_bytes > c->wire_left)
        return refuse(p);
    return enter_tunnel(c, p, TUNNEL_GRE, call, TUNNEL_ATTRIBUTE, LAYER_ppp);
}

static enum layer decode_gre(struct cursor *c, struct pkt *p)
{
    if (!may_enter(c, p))
        return LAYER_other_l4;
    if (!need(c, 4))
        return drop_short(p);
    uint16_t flags = load_be16(c->p), type = load_be16(c->p + 2);
    uint32_t key_at = flags & GRE_CHECKSUM ? 8 : 4;
    uint32_t header_bytes = key_at + (flags & GRE_KEY ? 4 : 0) + (flags & GRE_SEQUENCE ? 4 : 0);

    if ((flags & GRE_VERSION) == 1)
        return decode_pptp(c, p, flags, type);
    if ((flags & GRE_VERSION) != 0 || (flags & GRE_MUST_BE_0))
        return refuse(p);
    if (!need(c, header_bytes))
        return drop_short(p);
    enum tunnel_key in_key = flags & GRE_KEY ? TUNNEL_IN_KEY : TUNNEL_ATTRIBUTE;
    uint32_t key = flags & GRE_KEY ? load_be32(c->p + key_at) : 0;

    advance(c, header_bytes);
    switch (type) {
    case 0x0800:
    case 0x86dd:
    case 0x8847:
    case 0x8848:
        return enter_tunnel(c, p, TUNNEL_GRE, key, in_key, next_by_ethertype(p, type));
    case 0x6558: /* transparent Ethernet bridging */
        return enter_tunnel(c, p, TUNNEL_GRE, nvgre_id(key), in_key, LAYER_ethernet);
    case 0x88be:
        if (flags & GRE_SEQUENCE)
            return decode_erspan2(c, p);
        return enter_tunnel(c, p, TUNNEL_ERSPAN, 0, TUNNEL_ATTRIBUTE, LAYER_ethernet);
    case 0x22eb:
        return decode_erspan3(c, p);
    default:
        return refuse(p);
    }
}
const struct decoder decoder_gre = {"gre", decode_gre};
