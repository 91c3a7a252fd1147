/* SPDX-License-Identifier: BSD-3-Clause */

/* See traffic.h. Frames are Ethernet + IPv4 + TCP with timestamps, 66 bytes of headers, or UDP, 42. */

#include "tests/bench/traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"

#define SLOT_BYTES          192u /* headers and the start of the payload: the rest of a frame is never looked at */
#define TCP_HEADERS         66u
#define UDP_HEADERS         42u
#define UDP_PORT            51820u /* datagrams that look like noise, as of a VPN */
#define VXLAN_HEADERS       50u    /* Ethernet, IPv4, UDP, VXLAN around the frame */
#define FCS                 4u
#define LOSS_ONE_OF         64u /* MIX_LOSS: data segments of the server */
#define LOSS_VISITS         2u  /* segments until it repeats one */
#define VISITS_PER_FLOW_NEW 8u  /* MIX_NEW: handshake, request, response, close */

static const char *const mix_names[MIX_COUNT] = {"tcp", "new", "imix", "dup", "vxlan", "udp", "loss"};

const char *mix_name(enum mix mix)
{
    return mix_names[mix];
}

int mix_parse(const char *name, enum mix *ret)
{
    for (int i = 0; i < MIX_COUNT; i++) {
        if (strcmp(name, mix_names[i]) == 0) {
            *ret = (enum mix)i;
            return 0;
        }
    }
    return -EINVAL;
}

static uint64_t next_random(struct traffic *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

int traffic_init(struct traffic *t, uint32_t n_flows, enum mix mix, uint32_t frame_bytes, uint32_t slots)
{
    *t = (struct traffic){.n_flows = n_flows,
                          .mix = mix,
                          .frame_bytes = frame_bytes,
                          .now_ns = 1700000000ull * 1000000000ull,
                          .gap_ns = 50,
                          .random = 0x9e3779b97f4a7c15ull,
                          .slots = slots};
    t->flow = calloc(n_flows, sizeof(*t->flow));
    t->frames = aligned_alloc(64, (size_t)slots * SLOT_BYTES);
    if (t->flow == NULL || t->frames == NULL) {
        traffic_fini(t);
        return -ENOMEM;
    }
    memset(t->frames, 0, (size_t)slots * SLOT_BYTES);
    for (uint32_t i = 0; i < n_flows; i++)
        t->flow[i] = (struct bench_flow){.seq = {mix64(i) & 0xffffffff, mix64(i + n_flows) & 0xffffffff}};
    return 0;
}

void traffic_fini(struct traffic *t)
{
    free(t->flow);
    free(t->frames);
}

static void put_be16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put_be32(uint8_t *p, uint32_t v)
{
    put_be16(p, v >> 16);
    put_be16(p + 2, v);
}

/* What one packet says. */
struct segment {
    unsigned from; /* 0 client, 1 server */
    uint8_t flags;
    uint32_t seq, ack, payload;
};

/* What the loss of a segment behind the tap does to the conversation. */
static void lose(struct traffic *t, struct bench_flow *f, struct segment *s)
{
    if (s->from == 0) {
        s->ack = f->lost_bytes != 0 ? f->lost_seq : s->ack;
    } else if (f->lost_bytes == 0) {
        if (f->visits > VISITS_PER_FLOW_NEW && next_random(t) % LOSS_ONE_OF == 0) {
            f->lost_seq = s->seq;
            f->lost_bytes = (uint16_t)s->payload;
            f->lost_visits = 0;
        }
    } else if (++f->lost_visits > LOSS_VISITS) {
        f->seq[1] = s->seq; /* it is not sent now, but the lost one again */
        s->seq = f->lost_seq;
        s->payload = f->lost_bytes;
        f->lost_bytes = 0;
    }
}

/* A round of eight visits: request, three data segments with ACKs between, as seen from the middle. */
static struct segment step(struct traffic *t, struct bench_flow *f, uint32_t payload)
{
    unsigned phase = f->visits++ % VISITS_PER_FLOW_NEW;
    bool opens = t->mix == MIX_NEW || (t->mix != MIX_UDP && f->visits <= 3);
    struct segment s = {.from = phase % 2 == 0 ? 0 : 1, .flags = TCP_ACK, .payload = payload};

    if (opens && phase == 0) {
        if (t->mix == MIX_NEW)
            f->generation++;
        s.flags = TCP_SYN;
        s.payload = 0;
    } else if (opens && phase == 1) {
        s.flags = TCP_SYN | TCP_ACK;
        s.payload = 0;
    } else if (opens && phase == 2) {
        s.payload = 0;
    } else if (t->mix == MIX_NEW && phase >= 6) {
        s.flags |= TCP_FIN;
    } else if (t->mix != MIX_UDP && s.from == 0 && phase != 4) {
        s.payload = 0; /* the client mostly acknowledges */
    }
    s.seq = f->seq[s.from];
    f->seq[s.from] += s.payload + ((s.flags & (TCP_SYN | TCP_FIN)) != 0);
    s.ack = (s.flags & TCP_ACK) ? f->seq[1 - s.from] : 0;
    if (t->mix == MIX_LOSS)
        lose(t, f, &s);
    return s;
}

static uint32_t headers_of(const struct traffic *t)
{
    return t->mix == MIX_UDP ? UDP_HEADERS : TCP_HEADERS;
}

static uint32_t outer_bytes(const struct traffic *t)
{
    return t->mix == MIX_VXLAN ? VXLAN_HEADERS : 0;
}

static uint32_t payload_for(struct traffic *t)
{
    uint32_t frame = t->frame_bytes;

    if (t->mix == MIX_IMIX) { /* 7:4:1 of 64, 594 and 1518 bytes */
        uint32_t r = (uint32_t)(next_random(t) % 12);
        frame = r < 7 ? 64 : r < 11 ? 594 : 1518;
    }
    uint32_t headers = headers_of(t) + FCS + outer_bytes(t);
    return frame > headers ? frame - headers : 1;
}

/* The outside of VXLAN; each flow's tunnel is one of 16. */
static void write_vxlan(uint8_t *p, uint32_t id, uint32_t inner_bytes)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 4};

    memcpy(p, macs, sizeof(macs));
    put_be16(p + 12, 0x0800);
    put_be16(p + 14, 0x4500);
    put_be16(p + 16, 36 + inner_bytes);
    put_be32(p + 18, 0x00004000);
    put_be16(p + 22, 0x4011);
    put_be16(p + 24, 0);
    put_be32(p + 26, 0xc6336401);
    put_be32(p + 30, 0xc6336402);
    put_be16(p + 34, 0xc000 | (id & 0x3fff));
    put_be16(p + 36, 4789);
    put_be16(p + 38, 16 + inner_bytes);
    put_be16(p + 40, 0);
    put_be32(p + 42, 0x08000000);
    put_be32(p + 46, (100 + id % 16) << 8);
}

/* Ethernet, IPv4 and the ports. */
static void write_ip(struct traffic *t, uint8_t *p, uint32_t id, const struct segment *s)
{
    static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    struct bench_flow *f = &t->flow[id];
    uint32_t client = 0x0a000000u | (id & 0x3fffff), server = 0xc0000200u | (id & 0xff);
    uint32_t client_port = 1024 + ((id >> 22) * 7919 + f->generation) % 60000;
    uint32_t server_port = t->mix == MIX_UDP ? UDP_PORT : 443;

    memcpy(p, macs, sizeof(macs));
    put_be16(p + 12, 0x0800);
    put_be16(p + 14, 0x4500);
    put_be16(p + 16, headers_of(t) - 14 + s->payload);
    put_be16(p + 18, ++f->ip_id[s->from]);
    put_be16(p + 20, 0x4000);
    put_be16(p + 22, t->mix == MIX_UDP ? 0x4011 : 0x4006);
    put_be16(p + 24, 0);
    put_be32(p + 26, s->from == 0 ? client : server);
    put_be32(p + 30, s->from == 0 ? server : client);
    put_be16(p + 34, s->from == 0 ? client_port : server_port);
    put_be16(p + 36, s->from == 0 ? server_port : client_port);
}

static void write_udp(uint8_t *p, const struct segment *s)
{
    uint64_t noise = mix64(s->seq);

    put_be16(p + 38, 8 + s->payload);
    put_be16(p + 40, 0);
    memcpy(p + UDP_HEADERS, &noise, sizeof(noise));
}

static void write_tcp(const struct traffic *t, uint8_t *p, const struct segment *s)
{
    uint32_t tsval = (uint32_t)(t->now_ns / 1000000);

    put_be32(p + 38, s->seq);
    put_be32(p + 42, s->ack);
    put_be16(p + 46, 0x8000u | s->flags);
    put_be16(p + 48, 502);
    put_be32(p + 50, 0);
    put_be32(p + 54, 0x0101080a);
    put_be32(p + 58, tsval);
    put_be32(p + 62, tsval - 1);
    memset(p + TCP_HEADERS, (int)(s->seq & 0xff), 16);
}

static void describe(struct traffic *t, struct frame *k, uint32_t slot, uint32_t payload)
{
    uint32_t wire = outer_bytes(t) + headers_of(t) + payload;

    if (wire < 60)
        wire = 60;
    k->data = t->frames + (size_t)slot * SLOT_BYTES;
    k->ts_ns = t->now_ns;
    k->wire_len = wire;
    k->cap_len = wire < SLOT_BYTES ? wire : SLOT_BYTES;
}

static void fill_one(struct traffic *t, struct frame *k, uint32_t slot, uint32_t id)
{
    struct segment s = step(t, &t->flow[id], payload_for(t));

    t->now_ns += t->gap_ns;
    uint8_t *frame = t->frames + (size_t)slot * SLOT_BYTES;
    if (t->mix == MIX_VXLAN)
        write_vxlan(frame, id, TCP_HEADERS + s.payload);
    frame += outer_bytes(t);
    write_ip(t, frame, id, &s);
    if (t->mix == MIX_UDP)
        write_udp(frame, &s);
    else
        write_tcp(t, frame, &s);
    describe(t, k, slot, s.payload);
}

static void copy_one(struct traffic *t, struct frame *k, const struct frame *original, uint32_t slot)
{
    t->now_ns += t->gap_ns;
    *k = *original;
    memcpy(t->frames + (size_t)slot * SLOT_BYTES, original->data, SLOT_BYTES);
    k->data = t->frames + (size_t)slot * SLOT_BYTES;
    k->ts_ns = t->now_ns;
}

void traffic_fill(struct traffic *t, struct frame *frames, uint32_t n, uint32_t *ids)
{
    for (uint32_t i = 0; i < n; i++) {
        if (t->mix == MIX_DUP && i % 2 == 1) {
            ids[i] = ids[i - 1];
            copy_one(t, &frames[i], &frames[i - 1], i);
            continue;
        }
        ids[i] = (uint32_t)(next_random(t) % t->n_flows);
        fill_one(t, &frames[i], i, ids[i]);
    }
}

void traffic_fill_in_turn(struct traffic *t, struct frame *frames, uint32_t n, uint32_t first)
{
    for (uint32_t i = 0; i < n; i++)
        fill_one(t, &frames[i], i, (first + i) % t->n_flows);
}
