/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * PPP (RFC 1661) as PPPoE, L2TP and PPTP carry it, and the session stage of PPPoE (RFC 2516).
 *
 * The address and control bytes ff 03 may be there or not, and the protocol number may be compressed to one byte. IPv4,
 * IPv6 and MPLS are entered; link and network control protocols are known and carry no IP. The PPPoE session id is an
 * attribute, see tunnel.h.
 *
 * Limits: compressed or encrypted PPP (0x00fd, 0x0053) is unknown.
 */

#include "dataplane/decode/tunnel.h"

enum layer next_by_ppp(struct cursor *c, struct pkt *p)
{
    if (need(c, 2) && c->p[0] == 0xff && c->p[1] == 0x03)
        advance(c, 2);
    if (!need(c, 1))
        return drop_short(p);
    bool compressed = c->p[0] & 1;
    if (!need(c, compressed ? 1 : 2))
        return drop_short(p);
    uint16_t protocol = compressed ? c->p[0] : load_be16(c->p);
    advance(c, compressed ? 1 : 2);
    switch (protocol) {
    case 0x0021:
        return LAYER_ipv4;
    case 0x0057:
        return LAYER_ipv6;
    case 0x0281:
    case 0x0283:
        return LAYER_mpls;
    default:
        if (protocol < 0x8000)
            return refuse(p);
        p->verdict = PKT_L2;
        return LAYER_DONE;
    }
}

static enum layer decode_ppp(struct cursor *c, struct pkt *p)
{
    return next_by_ppp(c, p);
}
const struct decoder decoder_ppp = {"ppp", decode_ppp};

static enum layer decode_pppoe(struct cursor *c, struct pkt *p)
{
    if (!need(c, 6))
        return drop_short(p);
    uint32_t payload_bytes = load_be16(c->p + 4);
    uint16_t session = load_be16(c->p + 2);

    if (c->p[0] != 0x11 || c->p[1] != 0)
        return drop(p, LEDGER_decode_bad);
    advance(c, 6);
    if (payload_bytes < c->wire_left) { /* padding */
        c->wire_left = payload_bytes;
        if ((uint64_t)(c->end - c->p) > payload_bytes)
            c->end = c->p + payload_bytes;
    }
    return enter_tunnel(c, p, TUNNEL_PPPOE, session, TUNNEL_ATTRIBUTE, LAYER_ppp);
}
const struct decoder decoder_pppoe = {"pppoe", decode_pppoe};
