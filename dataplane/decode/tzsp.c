/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TZSP (TaZmen Sniffer Protocol, version 1): frames that a sensor or router captured, sent to a collector over UDP. No
 * RFC; the format is that of its public descriptions: version, type, encapsulation, then tags of type, length and value
 * up to an end tag, then the frame.
 *
 * Only Ethernet frames (encapsulation 1) in packets of type 0 (received) and 1 (to be sent) are entered. There is no
 * id, and the stream is the mirror's: attribute only, see tunnel.h.
 */

#include "dataplane/decode/tunnel.h"

enum { TAG_PADDING = 0, TAG_END = 1 };

static enum layer decode_tzsp(struct cursor *c, struct pkt *p)
{
    uint32_t at = 4;

    if (!need(c, 5))
        return drop_short(p);
    if (c->p[0] != 1 || c->p[1] > 1 || load_be16(c->p + 2) != 1)
        return refuse(p);
    while (need(c, at + 1) && c->p[at] != TAG_END) {
        if (c->p[at] == TAG_PADDING)
            at++;
        else if (need(c, at + 2))
            at += 2u + c->p[at + 1];
        else
            return drop_short(p);
    }
    if (!need(c, at + 1))
        return drop_short(p);
    if (!looks_like_ethernet(c, p, at + 1))
        return refuse(p);
    advance(c, at + 1);
    return enter_tunnel(c, p, TUNNEL_TZSP, 0, TUNNEL_ATTRIBUTE, LAYER_ethernet);
}
const struct decoder decoder_tzsp = {"tzsp", decode_tzsp};
