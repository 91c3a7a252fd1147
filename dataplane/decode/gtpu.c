/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * GTP-U (3GPP TS 29.281): the user plane of mobile networks, with extension headers.
 *
 * Only G-PDUs (type 255) carry a user's packet; echo, error indication and the like stay in the UDP flow. A TEID is
 * chosen by the receiver, so each direction has its own: attribute only, see tunnel.h. Version 1, protocol type 1, a
 * zero spare bit and a length that matches the datagram keep other traffic on the port what it is. What is inside is
 * IP, or Ethernet for PDU sessions of that type (TS 23.501); nothing in the header says which.
 *
 * Limits: overlapping addresses of two packet data networks on one mirror meet in one flow.
 */

#include "dataplane/decode/tunnel.h"

/* Length of the header with its extensions; 0 when it does not hold. */
static uint32_t header_bytes(const struct cursor *c)
{
    uint32_t at = 8;

    if ((c->p[0] & 0x07) == 0)
        return at;
    if (!need(c, 12))
        return 0;
    uint8_t next = c->p[0] & 0x04 ? c->p[11] : 0; /* sequence number, N-PDU number, type of the first extension */
    at = 12;
    for (unsigned n = 0; next != 0; n++) {
        if (n == MAX_LAYERS || !need(c, at + 1) || c->p[at] == 0 || !need(c, at + c->p[at] * 4u))
            return 0;
        at += c->p[at] * 4u;
        next = c->p[at - 1];
    }
    return at;
}

static enum layer decode_gtpu(struct cursor *c, struct pkt *p)
{
    if (!need(c, 8))
        return drop_short(p);
    uint32_t payload_bytes = load_be16(c->p + 2), teid = load_be32(c->p + 4);

    if ((c->p[0] & 0xf8) != 0x30 || c->p[1] != 255)
        return refuse(p);
    if (8 + payload_bytes != c->wire_left && !(p->flags & PKT_FRAGMENT))
        return refuse(p);
    uint32_t bytes = header_bytes(c);
    if (bytes == 0 || bytes > 8 + payload_bytes)
        return refuse(p);
    if (looks_like_ip(c, p, bytes)) {
        advance(c, bytes);
        return enter_tunnel(c, p, TUNNEL_GTPU, teid, TUNNEL_ATTRIBUTE, ip_version(c));
    }
    if (!looks_like_ethernet(c, p, bytes))
        return refuse(p);
    advance(c, bytes);
    return enter_tunnel(c, p, TUNNEL_GTPU, teid, TUNNEL_ATTRIBUTE, LAYER_ethernet);
}
const struct decoder decoder_gtpu = {"gtpu", decode_gtpu};
