/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * L2TPv3 (RFC 3931, Ethernet pseudowires RFC 4719) over IP and over UDP, and L2TPv2 (RFC 2661) over UDP with PPP.
 *
 * Of a v3 data message only the session id is certain: the lengths of the cookie (0, 4 or 8) and of the sublayer in
 * front of the frame (0 or 4) were agreed on in control messages, perhaps by hand. They are found by trying: the frame
 * begins at the first of the four possible places where a plausible Ethernet frame begins. Control messages, and v2
 * messages whose PPP carries no IP, stay in the UDP or IP flow. Session ids are chosen by each receiver for itself:
 * attribute only, see tunnel.h; of v2 it is tunnel id << 16 | session id.
 *
 * Limits: pseudowires of another kind than Ethernet stay in the carrier's flow.
 */

#include "dataplane/decode/tunnel.h"

enum l2tp_flag {
    L2TP_CONTROL = 0x8000,
    L2TP_LENGTH = 0x4000,
    L2TP_SEQUENCE = 0x0800,
    L2TP_OFFSET = 0x0200,
    L2TP_RESERVED = 0x34f0,
    L2TP_VERSION = 0x000f,
};

/* The cursor is behind the session id. */
static enum layer enter_session(struct cursor *c, struct pkt *p, uint32_t session)
{
    for (uint32_t at = 0; at <= 12; at += 4) {
        if (looks_like_ethernet(c, p, at)) {
            advance(c, at);
            return enter_tunnel(c, p, TUNNEL_L2TP, session, TUNNEL_ATTRIBUTE, LAYER_ethernet);
        }
    }
    return refuse(p);
}

static enum layer decode_l2tp_ip(struct cursor *c, struct pkt *p)
{
    if (!may_enter(c, p))
        return LAYER_other_l4;
    if (!need(c, 4))
        return drop_short(p);
    uint32_t session = load_be32(c->p);

    if (session == 0) /* control */
        return refuse(p);
    advance(c, 4);
    return enter_session(c, p, session);
}
const struct decoder decoder_l2tp_ip = {"l2tp_ip", decode_l2tp_ip};

static enum layer decode_v2(struct cursor *c, struct pkt *p, uint16_t flags)
{
    uint32_t at = flags & L2TP_LENGTH ? 4 : 2, ids_at = at;

    at += flags & L2TP_SEQUENCE ? 8 : 4;
    if (!need(c, at + (flags & L2TP_OFFSET ? 2 : 0)))
        return drop_short(p);
    if ((flags & L2TP_LENGTH) && load_be16(c->p + 2) != c->wire_left && !(p->flags & PKT_FRAGMENT))
        return refuse(p);
    if (flags & L2TP_OFFSET)
        at += 2u + load_be16(c->p + at);
    if (!need(c, at))
        return drop_short(p);
    uint32_t id = load_be32(c->p + ids_at);
    advance(c, at);
    enum layer next = next_by_ppp(c, p);
    if ((next != LAYER_ipv4 && next != LAYER_ipv6) || !looks_like_ip(c, p, 0) || ip_version(c) != next)
        return refuse(p);
    return enter_tunnel(c, p, TUNNEL_L2TP, id, TUNNEL_ATTRIBUTE, next);
}

static enum layer decode_l2tp_udp(struct cursor *c, struct pkt *p)
{
    if (!need(c, 8))
        return drop_short(p);
    uint16_t flags = load_be16(c->p);

    if ((flags & (L2TP_CONTROL | L2TP_RESERVED)) != 0)
        return refuse(p);
    if ((flags & L2TP_VERSION) == 2)
        return decode_v2(c, p, flags);
    if (flags != 3 || load_be16(c->p + 2) != 0)
        return refuse(p);
    uint32_t session = load_be32(c->p + 4);
    advance(c, 8);
    return enter_session(c, p, session);
}
const struct decoder decoder_l2tp_udp = {"l2tp_udp", decode_l2tp_udp};
