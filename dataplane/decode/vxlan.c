/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * VXLAN (RFC 7348), with the group policy bits (draft-smith-vxlan-group-policy), VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe)
 * and Geneve (RFC 8926). All three name the tenant by a 24-bit VNI, the same in both directions: it is in the key.
 *
 * The RFCs ask receivers to ignore reserved bits. Here they must be zero, as senders must set them: that, the flags and
 * a plausible inner frame keep other traffic on these ports what it is. Geneve's options must add up to their stated
 * length. OAM frames (O) are the tunnel's own business: they stay in the UDP flow.
 *
 * Limits: NSH inside VXLAN-GPE is refused, so is any inner type but Ethernet, IP and MPLS.
 */

#include "dataplane/decode/tunnel.h"

static enum layer decode_vxlan(struct cursor *c, struct pkt *p)
{
    if (!need(c, 8))
        return drop_short(p);
    uint32_t flags = load_be32(c->p), vni = load_be32(c->p + 4);
    bool has_group = flags >> 31;

    if ((flags & 0x7f000000) != 0x08000000 || (flags & (has_group ? 0x00b70000u : 0x00ffffffu)) != 0 || (vni & 0xff))
        return refuse(p);
    if (!looks_like_ethernet(c, p, 8))
        return refuse(p);
    advance(c, 8);
    return enter_tunnel(c, p, TUNNEL_VXLAN, vni >> 8, TUNNEL_IN_KEY, LAYER_ethernet);
}
const struct decoder decoder_vxlan = {"vxlan", decode_vxlan};

/* Looks at what begins `at` bytes behind the cursor and enters it, or refuses. */
static enum layer enter_if_plausible(struct cursor *c, struct pkt *p, enum tunnel_type type, uint32_t vni, uint32_t at,
                                     enum layer next)
{
    if (next == LAYER_ethernet ? !looks_like_ethernet(c, p, at)
        : next == LAYER_mpls   ? !need(c, at + 4)
                               : !looks_like_ip(c, p, at))
        return refuse(p);
    advance(c, at);
    return enter_tunnel(c, p, type, vni, TUNNEL_IN_KEY, next);
}

/* R R version(2) I P B O; reserved(16); next protocol. */
static enum layer decode_vxlan_gpe(struct cursor *c, struct pkt *p)
{
    static const enum layer by_protocol[] = {
        [0] = LAYER_DONE, [1] = LAYER_ipv4, [2] = LAYER_ipv6, [3] = LAYER_ethernet, [4] = LAYER_DONE, [5] = LAYER_mpls};

    if (!need(c, 8))
        return drop_short(p);
    uint32_t flags = load_be32(c->p), vni = load_be32(c->p + 4);
    bool has_protocol = flags & 0x04000000;
    uint32_t protocol = has_protocol ? flags & 0xff : 3;

    if ((flags & 0xf9ffff00) != 0x08000000 || (!has_protocol && (flags & 0xff)) || (vni & 0xff) || protocol > 5 ||
        by_protocol[protocol] == LAYER_DONE)
        return refuse(p);
    return enter_if_plausible(c, p, TUNNEL_VXLAN_GPE, vni >> 8, 8, by_protocol[protocol]);
}
const struct decoder decoder_vxlan_gpe = {"vxlan_gpe", decode_vxlan_gpe};

/* Options: class(16), type(8), reserved(3), length(5) in 4-byte units behind these four bytes. */
static bool options_add_up(const uint8_t *o, uint32_t bytes)
{
    while (bytes >= 4) {
        uint32_t len = 4 + (o[3] & 0x1fu) * 4;
        if (len > bytes)
            return false;
        o += len;
        bytes -= len;
    }
    return bytes == 0;
}

/* Version(2), option length(6), O, C, reserved(6), type(16); VNI, reserved(8). */
static enum layer decode_geneve(struct cursor *c, struct pkt *p)
{
    if (!need(c, 8))
        return drop_short(p);
    uint32_t head = load_be32(c->p), vni = load_be32(c->p + 4);
    uint32_t options_bytes = (head >> 24 & 0x3f) * 4;

    if (head >> 30 != 0 || (head & 0x00bf0000) || (vni & 0xff) || !need(c, 8 + options_bytes) ||
        !options_add_up(c->p + 8, options_bytes))
        return refuse(p);
    enum layer next = LAYER_ethernet;
    switch (head & 0xffff) {
    case 0x0800:
        next = LAYER_ipv4;
        break;
    case 0x86dd:
        next = LAYER_ipv6;
        break;
    case 0x8847:
        next = LAYER_mpls;
        break;
    case 0x6558:
        break;
    default:
        return refuse(p);
    }
    return enter_if_plausible(c, p, TUNNEL_GENEVE, vni >> 8, 8 + options_bytes, next);
}
const struct decoder decoder_geneve = {"geneve", decode_geneve};
