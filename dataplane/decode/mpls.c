/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * MPLS: label stacks (RFC 3032), IP below them, and Ethernet pseudowires with and without a control word (RFC 4448,
 * RFC 4385).
 *
 * Nothing in a label stack says what is below it. As routers do (RFC 4928), the first nibble is looked at: 4 and 6 are
 * IP, 0 a control word, 1 an associated channel (RFC 5586: OAM, no user's packet). But an Ethernet frame without a
 * control word begins with a MAC address, which may have any of these nibbles; so each guess must hold, IP by its
 * length fields, Ethernet by its type and what follows that. Labels are local to one hop and one direction: the bottom
 * label is an attribute, see tunnel.h. Every label counts as a layer.
 *
 * Limits: a pseudowire of another kind than Ethernet is unknown.
 */

#include "dataplane/decode/tunnel.h"

#define BOTTOM 0x100u

static enum layer below(struct cursor *c, struct pkt *p, uint32_t label)
{
    if (!need(c, 1))
        return drop_short(p);
    uint8_t nibble = c->p[0] >> 4;
    bool is_ip = looks_like_ip(c, p, 0);

    if (!is_ip && nibble == 0 && looks_like_ethernet(c, p, 4)) {
        advance(c, 4);
        return enter_tunnel(c, p, TUNNEL_MPLS, label, TUNNEL_ATTRIBUTE, LAYER_ethernet);
    }
    if (!is_ip && looks_like_ethernet(c, p, 0))
        return enter_tunnel(c, p, TUNNEL_MPLS, label, TUNNEL_ATTRIBUTE, LAYER_ethernet);
    if (nibble == 4 || nibble == 6) /* or a damaged one: its own decoder says how */
        return enter_tunnel(c, p, TUNNEL_MPLS, label, TUNNEL_ATTRIBUTE, ip_version(c));
    if (nibble == 1) {
        p->verdict = PKT_L2;
        return LAYER_DONE;
    }
    return p->snap_len < p->wire_len ? drop_short(p) : refuse(p);
}

static enum layer decode_mpls(struct cursor *c, struct pkt *p)
{
    if (!need(c, 4))
        return drop_short(p);
    uint32_t entry = load_be32(c->p);
    advance(c, 4);
    return entry & BOTTOM ? below(c, p, entry >> 12) : LAYER_mpls;
}
const struct decoder decoder_mpls = {"mpls", decode_mpls};
