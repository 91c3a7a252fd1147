/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * TCP with its options (RFC 9293, 7323, 2018), UDP, ICMP, ICMPv6; everything else over IP is a flow without ports.
 *
 * A packet captured too short for its L4 header still belongs to a flow when the ports are there (PKT_L4_OK is then
 * unset and no meter looks at it). Options are walked with a bound and an end: a zero length ends the walk.
 */

#include "dataplane/decode/decode.h"
#include "dataplane/decode/tunnel.h"

static enum layer finish(struct cursor *c, struct pkt *p, uint32_t header_bytes)
{
    advance(c, header_bytes);
    p->payload_off = (uint16_t)(c->p - p->data);
    p->payload_len = c->wire_left;
    p->payload_cap = (uint32_t)(c->end - c->p);
    p->flags |= PKT_L4_OK;
    p->verdict = PKT_FLOW;
    return LAYER_DONE;
}

static void set_ports(struct pkt *p, uint16_t from, uint16_t to)
{
    p->key.port[0] = from;
    p->key.port[1] = to;
}

/* The ports are there but not the whole header. */
static enum layer finish_headerless(struct cursor *c, struct pkt *p)
{
    if (!need(c, 4))
        return drop_short(p);
    set_ports(p, load_be16(c->p), load_be16(c->p + 2));
    p->verdict = PKT_FLOW;
    return LAYER_DONE;
}

static void parse_sack(struct pkt *p, const uint8_t *o, uint32_t len)
{
    for (uint32_t at = 2; at + 8 <= len && p->n_sack < MAX_SACK; at += 8)
        p->sack[p->n_sack++] = (struct sack_block){load_be32(o + at), load_be32(o + at + 4)};
}

static void parse_timestamps(struct pkt *p, const uint8_t *o)
{
    p->tsval = load_be32(o + 2);
    p->tsecr = load_be32(o + 6);
    p->flags |= PKT_HAS_TS;
}

void tcp_parse_options(struct pkt *p, const uint8_t *o, const uint8_t *end)
{
    if (end - o == 12 && load_be32(o) == TCP_OPTIONS_USUAL) {
        tcp_usual_options(p, o);
        return;
    }
    while (o < end && *o != 0) {
        if (*o == 1) {
            o++;
            continue;
        }
        if (end - o < 2 || o[1] < 2 || o[1] > end - o)
            return;
        if (o[0] == 8 && o[1] == 10)
            parse_timestamps(p, o);
        else if (o[0] == 5)
            parse_sack(p, o, o[1]);
        else if (o[0] == 4 && o[1] == 2)
            p->flags |= PKT_HAS_SACK_PERM;
        o += o[1];
    }
}

static enum layer decode_tcp(struct cursor *c, struct pkt *p)
{
    if (!need(c, 20))
        return finish_headerless(c, p);
    const uint8_t *h = c->p;
    uint32_t header_bytes = (h[12] >> 4) * 4u;

    if (c->piece.is_set && header_bytes > c->wire_left) /* the rest of the header is in the next fragment */
        return finish_headerless(c, p);
    if (header_bytes < 20 || header_bytes > c->wire_left)
        return drop(p, LEDGER_decode_bad);
    set_ports(p, load_be16(h), load_be16(h + 2));
    p->tcp_seq = load_be32(h + 4);
    p->tcp_ack = load_be32(h + 8);
    p->tcp_flags = h[13];
    p->tcp_window = load_be16(h + 14);
    uint32_t captured = (uint32_t)(c->end - h);
    tcp_parse_options(p, h + 20, h + (header_bytes < captured ? header_bytes : captured));
    if (captured < header_bytes) { /* sliced inside the options: lengths still hold */
        p->payload_off = (uint16_t)(c->end - p->data);
        p->payload_len = c->wire_left - header_bytes;
        p->flags |= PKT_L4_OK;
        p->verdict = PKT_FLOW;
        return LAYER_DONE;
    }
    return finish(c, p, header_bytes);
}
const struct decoder decoder_tcp = {"tcp", decode_tcp};

static enum layer decode_udp(struct cursor *c, struct pkt *p)
{
    if (!need(c, 8))
        return finish_headerless(c, p);
    set_ports(p, load_be16(c->p), load_be16(c->p + 2));
    uint32_t udp_bytes = load_be16(c->p + 4);
    if (udp_bytes >= 8 && udp_bytes < c->wire_left) {
        c->wire_left = udp_bytes;
        if ((uint64_t)(c->end - c->p) > udp_bytes)
            c->end = c->p + udp_bytes;
    }
    enum layer tunnel = next_by_udp_port(c, p);
    if (tunnel != LAYER_DONE)
        return tunnel;
    return finish(c, p, 8);
}
const struct decoder decoder_udp = {"udp", decode_udp};

static enum layer icmp(struct cursor *c, struct pkt *p, uint8_t echo_request, uint8_t echo_reply)
{
    if (!need(c, 4))
        return drop_short(p);
    p->icmp_type = c->p[0];
    p->icmp_code = c->p[1];
    bool is_echo = (p->icmp_type == echo_request || p->icmp_type == echo_reply) && need(c, 8);
    if (is_echo) {
        uint16_t id = load_be16(c->p + 4);
        p->icmp_seq = load_be16(c->p + 6);
        p->key.kind = KEY_ICMP_ECHO;
        set_ports(p, id, id);
    } else {
        uint16_t type_code = (uint16_t)(p->icmp_type << 8 | p->icmp_code);
        p->key.kind = KEY_ICMP_OTHER;
        set_ports(p, type_code, type_code);
    }
    return finish(c, p, need(c, 8) ? 8 : 4);
}

static enum layer decode_icmp(struct cursor *c, struct pkt *p)
{
    return icmp(c, p, 8, 0);
}
const struct decoder decoder_icmp = {"icmp", decode_icmp};

static enum layer decode_icmpv6(struct cursor *c, struct pkt *p)
{
    return icmp(c, p, 128, 129);
}
const struct decoder decoder_icmpv6 = {"icmpv6", decode_icmpv6};

/* Any other protocol over IP, and later fragments: a flow keyed by addresses and protocol. */
static enum layer decode_other_l4(struct cursor *c, struct pkt *p)
{
    p->payload_off = (uint16_t)(c->p - p->data);
    p->payload_len = c->wire_left;
    p->payload_cap = (uint32_t)(c->end - c->p);
    p->verdict = PKT_FLOW;
    return LAYER_DONE;
}
const struct decoder decoder_other_l4 = {"other_l4", decode_other_l4};
