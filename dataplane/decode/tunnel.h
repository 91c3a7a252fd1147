/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TUNNEL_H
#define SPANWARD_TUNNEL_H

/*
 * Decapsulation: a tunnelled packet counts in the flow inside, and nowhere else.
 *
 * A decoder of a tunnel checks its header, then calls enter_tunnel, which forgets the outer addresses, ports and ids
 * and notes where they are: type, id and outer header become attributes of the flow. Whether the id also goes into the
 * key is decided per protocol, by one question: is it the same in both directions, and does it tell tenants with the
 * same addresses apart?
 *
 *   in the key        VXLAN, VXLAN-GPE and Geneve (VNI), NVGRE (VSID), GRE with a key. Both directions carry the same
 *                     id, and it is what keeps overlapping address plans apart.
 *   attribute only    GTP-U (one TEID per direction), L2TP (likewise), PPTP (likewise), MPLS (labels are local to a
 *                     hop and a direction), PPPoE (a session is one subscriber's, addresses do not overlap), ERSPAN and
 *                     TZSP (the session is the mirror's, not the tenant's), IP in IP, 6in4, GRE without a key (no id).
 *
 * In the second group the packet inside the tunnel and the same packet outside it have one key: where a mirror shows
 * both, the later one is a second hop (dedup.h), since the place where it was seen, l2_hash, takes in the tunnel's type
 * and the outer MAC addresses. In the first group they are two flows, because the id must separate them.
 *
 * Loose matches: nothing in UDP says that a port's payload is a tunnel, so each decoder demands the fixed fields of its
 * header and that what is inside begins like IP or Ethernet (looks_like_…). What fails stays a UDP flow, see decode.h.
 */

#include "dataplane/decode/decode.h"

enum tunnel_key { TUNNEL_ATTRIBUTE, TUNNEL_IN_KEY };

/* The cursor is at what the tunnel carries, of which `next` is the decoder; returns that. */
enum layer enter_tunnel(struct cursor *c, struct pkt *p, enum tunnel_type type, uint32_t id, enum tunnel_key key,
                        enum layer next);

/* For tunnels that are IP protocols, first of all: false if this one is to be left alone. */
bool may_enter(struct cursor *c, const struct pkt *p);

/* Could an IP datagram, an Ethernet frame, begin `at` bytes behind the cursor? */
bool looks_like_ip(const struct cursor *c, const struct pkt *p, uint32_t at);
bool looks_like_ethernet(const struct cursor *c, const struct pkt *p, uint32_t at);

static inline enum layer refuse(struct pkt *p)
{
    return drop(p, LEDGER_decode_unknown);
}

/* IPv4 or IPv6 by the version at the cursor, which looks_like_ip has found to be there. */
static inline enum layer ip_version(const struct cursor *c)
{
    return c->p[0] >> 4 == 4 ? LAYER_ipv4 : LAYER_ipv6;
}

/* What the payload of this UDP datagram may be; the cursor is behind the UDP header then. LAYER_DONE: nothing known. */
enum layer try_udp_port(struct cursor *c, struct pkt *p);

#define UDP_L2TP      1701u
#define UDP_GTPU      2152u
#define UDP_VXLAN     4789u
#define UDP_VXLAN_GPE 4790u
#define UDP_GENEVE    6081u
#define UDP_VXLAN_OLD 8472u /* before the port was assigned, and still the default of Linux */
#define UDP_TZSP      37008u

/* An L2TP responder may answer to any port. */
static inline bool udp_may_be_tunnel(uint16_t from, uint16_t to)
{
    switch (to) {
    case UDP_L2TP:
    case UDP_GTPU:
    case UDP_VXLAN:
    case UDP_VXLAN_GPE:
    case UDP_GENEVE:
    case UDP_VXLAN_OLD:
    case UDP_TZSP:
        return true;
    default:
        return from == UDP_L2TP;
    }
}

static inline enum layer next_by_udp_port(struct cursor *c, struct pkt *p)
{
    return udp_may_be_tunnel(p->key.port[0], p->key.port[1]) ? try_udp_port(c, p) : LAYER_DONE;
}

/* The tenant in an NVGRE key: see gre.c. */
static inline uint32_t nvgre_id(uint32_t key)
{
    uint32_t vsid = key >> 8;

    return vsid >= 0x1000 ? vsid : key;
}

/* What follows in PPP, RFC 1661; leaves the cursor behind the protocol number. */
enum layer next_by_ppp(struct cursor *c, struct pkt *p);

/*
 * The switch's own time stamp in an ERSPAN type III header, in ns of a clock of unknown origin that wraps after 2^32 of
 * its units. No meter rests on it. False: in a unit that is not known.
 */
bool erspan3_timestamp(const uint8_t header[12], uint64_t *ret_ns);

#endif
