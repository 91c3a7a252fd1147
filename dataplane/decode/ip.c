/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200, RFC 4302 for AH).
 *
 * The IP length, not the frame's, says how many payload bytes there were on the wire: padding is left out and a sliced
 * capture still counts right. A total length of 0 is what segmentation offload leaves in captures made on the host
 * itself: the frame's own length then counts. Later fragments carry no L4 header; fragment.h says where their ports
 * come from.
 */

#include "dataplane/decode/decode.h"

/* Leaves the cursor at the L4 header. */
static enum layer enter_l4(struct cursor *c, struct pkt *p, uint8_t proto)
{
    p->key.proto = proto;
    c->l4_proto = proto;
    p->l4_off = (uint16_t)(c->p - p->data);
    if (c->fragment)
        return LAYER_other_l4;
    return next_by_ip_proto(proto);
}

/*
 * From here on the IP header's length counts. Less than the frame holds: what follows is padding. More: the frame was
 * cut by whoever wrote it, and the payload's length on the wire is still known. In a tunnel the carrier says how much
 * was on the wire: if the rest is in another fragment of the carrier, nothing is cut.
 */
static void enter_datagram(struct cursor *c, struct pkt *p, uint32_t datagram_bytes)
{
    if (datagram_bytes > c->wire_left) {
        if (p->tunnel == TUNNEL_NONE) {
            p->flags |= PKT_TRUNCATED;
            p->wire_len += datagram_bytes - c->wire_left;
        } else if (!(p->flags & PKT_FRAGMENT)) {
            p->flags |= PKT_TRUNCATED;
        }
    }
    c->wire_left = datagram_bytes;
    if ((uint64_t)(c->end - c->p) > datagram_bytes)
        c->end = c->p + datagram_bytes;
}

static void enter_piece(struct cursor *c, struct pkt *p, uint32_t id, uint32_t from_bytes, bool more)
{
    p->flags |= PKT_FRAGMENT;
    c->fragment = from_bytes != 0;
    c->piece =
        (struct piece){.is_set = true, .more = more, .id = id, .from_bytes = from_bytes, .len_bytes = c->wire_left};
}

static enum layer decode_ipv4(struct cursor *c, struct pkt *p)
{
    if (!need(c, 20))
        return drop_short(p);
    const uint8_t *h = c->p;
    uint32_t header_bytes = (h[0] & 0x0fu) * 4u;
    uint32_t total_bytes = load_be16(h + 2);

    if (h[0] >> 4 != 4 || header_bytes < 20)
        return drop(p, LEDGER_decode_bad);
    if (total_bytes == 0)
        total_bytes = c->wire_left;
    if (total_bytes < header_bytes)
        return drop(p, LEDGER_decode_bad);
    if (!need(c, header_bytes))
        return drop_short(p);

    uint16_t fragment = load_be16(h + 6);
    p->l3_off = (uint16_t)(h - p->data);
    p->ip_bytes = total_bytes;
    p->ttl = h[8];
    p->ip_id = load_be16(h + 4);
    p->flags |= PKT_HAS_IP_ID;
    p->key.af = 4;
    memset(p->key.addr, 0, sizeof(p->key.addr));
    memcpy(p->key.addr[0].byte, h + 12, 4);
    memcpy(p->key.addr[1].byte, h + 16, 4);
    enter_datagram(c, p, total_bytes);
    advance(c, header_bytes);
    if (fragment & 0x3fff)
        enter_piece(c, p, p->ip_id, (fragment & 0x1fffu) * 8, fragment & 0x2000);
    return enter_l4(c, p, h[9]);
}
const struct decoder decoder_ipv4 = {"ipv4", decode_ipv4};

/* One extension header; returns its length in bytes, 0 when it does not fit. */
static uint32_t extension_bytes(const struct cursor *c, uint8_t type)
{
    if (!need(c, 8))
        return 0;
    uint32_t bytes = type == 44   ? 8u                  /* fragment */
                     : type == 51 ? (c->p[1] + 2u) * 4u /* AH counts in 4-byte units */
                                  : (c->p[1] + 1u) * 8u;
    return need(c, bytes) ? bytes : 0;
}

static bool is_extension(uint8_t type)
{
    return type == 0 || type == 43 || type == 44 || type == 51 || type == 60 || type == 135 || type == 139 ||
           type == 140;
}

static enum layer decode_ipv6(struct cursor *c, struct pkt *p)
{
    if (!need(c, 40))
        return drop_short(p);
    const uint8_t *h = c->p;
    uint32_t payload_bytes = load_be16(h + 4);
    uint8_t next = h[6];

    if (h[0] >> 4 != 6)
        return drop(p, LEDGER_decode_bad);
    p->l3_off = (uint16_t)(h - p->data);
    p->ip_bytes = payload_bytes == 0 ? c->wire_left : payload_bytes + 40; /* 0: jumbogram or offload */
    p->ttl = h[7];
    p->key.af = 6;
    memcpy(p->key.addr, h + 8, sizeof(p->key.addr));
    enter_datagram(c, p, p->ip_bytes);
    advance(c, 40);

    for (unsigned n = 0; is_extension(next); n++) {
        uint32_t bytes = extension_bytes(c, next);
        if (bytes == 0)
            return drop_short(p);
        if (n == MAX_LAYERS)
            return drop(p, LEDGER_too_many_layers);
        const uint8_t *x = c->p;
        advance(c, bytes);
        if (next == 44) {
            uint16_t fragment = load_be16(x + 2);
            p->ip_id = load_be16(x + 6);
            p->flags |= PKT_HAS_IP_ID;
            if (fragment & 0xfff9)
                enter_piece(c, p, load_be32(x + 4), fragment & 0xfff8u, fragment & 1);
        }
        next = x[0];
        if (c->fragment)
            break;
    }
    return enter_l4(c, p, next);
}
const struct decoder decoder_ipv6 = {"ipv6", decode_ipv6};
