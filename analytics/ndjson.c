/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See ndjson.h. Rules of the contract that are kept here: "type" first, keys in the contract's order, null where a
 * number cannot be known: loss and spurious of one-way or sampled flows, min and max of an RTT without samples, ports
 * of protocols without ports, counters that a driver does not support. Text from packets is escaped by
 * json_text_string.
 *
 * On a write error (disk full, reader gone) the stream stops and keeps the reason; sorting happens before the first
 * byte of output, so a full temporary disk leaves no half output behind.
 */

#include "analytics/ndjson.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/community_id.h"
#include "common/events.h"

#define SORT_BYTES_DEFAULT (32u << 20)

/* What every RTT object of a flow has. */
static void put_rtt_members(struct json_text *j, const struct rec_rtt *r)
{
    if (r->n == 0) {
        json_text_null(j, "min");
        json_text_null(j, "max");
        json_text_u64(j, "sum", 0);
    } else {
        json_text_us(j, "min", r->min_ns);
        json_text_us(j, "max", r->max_ns);
        json_text_us(j, "sum", r->sum_ns);
    }
    json_text_u64(j, "n", r->n);
}

static void put_rtt(struct json_text *j, const char *key, const struct rec_rtt *r)
{
    json_text_open(j, key, '{');
    put_rtt_members(j, r);
    json_text_close(j, '}');
}

/* The ACK RTT of endpoint e, with the share of what the other one sent that gave a sample. */
static void put_ack_rtt(struct json_text *j, const char *key, const struct rec_flow *f, unsigned e)
{
    uint64_t ackable = (uint64_t)f->tcp[1 - e].data_pkts + ((f->flags & RFLOW_MIDSTREAM) == 0);

    json_text_open(j, key, '{');
    put_rtt_members(j, &f->rtt[e]);
    json_text_decimal(j, "coverage", rtt_coverage(f->rtt[e].n, (f->flags & RFLOW_ONE_WAY) != 0 ? 0 : ackable));
    json_text_close(j, '}');
}

static void put_u64_or_null(struct json_text *j, const char *key, bool known, uint64_t v)
{
    if (known)
        json_text_u64(j, key, v);
    else
        json_text_null(j, key);
}

static void put_us_or_null(struct json_text *j, const char *key, bool known, uint64_t ns)
{
    if (known)
        json_text_us(j, key, ns);
    else
        json_text_null(j, key);
}

static void put_dir(struct json_text *j, const char *key, const struct rec_dir *d)
{
    json_text_open(j, key, '{');
    json_text_u64(j, "pkts", d->pkts);
    json_text_u64(j, "bytes", d->bytes);
    json_text_u64(j, "frame_bytes", d->frame_bytes);
    json_text_u64(j, "dup_pkts", d->dup_pkts);
    json_text_u64(j, "second_hop_pkts", d->second_hop_pkts);
    json_text_close(j, '}');
}

static void put_tcp_dir(struct json_text *j, const char *key, const struct rec_tcp_dir *d, bool loss_known)
{
    json_text_open(j, key, '{');
    json_text_u64(j, "retrans_pkts", d->retrans_pkts);
    json_text_u64(j, "retrans_bytes", d->retrans_bytes);
    put_u64_or_null(j, "lost_upstream_pkts", loss_known, d->lost_upstream_pkts);
    put_u64_or_null(j, "lost_downstream_pkts", loss_known, d->lost_downstream_pkts);
    put_u64_or_null(j, "lost_unknown_pkts", loss_known, d->lost_unknown_pkts);
    put_u64_or_null(j, "spurious_pkts", loss_known, d->spurious_pkts);
    json_text_u64(j, "reordered_pkts", d->reordered_pkts);
    json_text_u64(j, "capture_lost_bytes", d->capture_lost_bytes);
    json_text_u64(j, "capture_gaps", d->capture_gaps);
    json_text_u64(j, "dup_acks", d->dup_acks);
    json_text_u64(j, "keepalives", d->keepalives);
    json_text_u64(j, "zero_windows", d->zero_windows);
    json_text_u64(j, "zero_window_us", d->zero_window_us);
    json_text_u64(j, "rst", d->rst);
    json_text_close(j, '}');
}

static void put_tcp(struct json_text *j, const struct rec_flow *f)
{
    bool loss_known = (f->flags & (RFLOW_ONE_WAY | RFLOW_SAMPLED)) == 0;

    json_text_open(j, "tcp", '{');
    json_text_str(j, "state", f->tcp_state < TCP_STATE_COUNT ? tcp_state_name(f->tcp_state) : "?");
    json_text_u64(j, "syn_retries", f->syn_retries);
    json_text_bool(j, "refused", (f->flags & RFLOW_REFUSED) != 0);
    json_text_bool(j, "unanswered", (f->flags & RFLOW_UNANSWERED) != 0);
    put_us_or_null(j, "handshake_server_us", (f->flags & RFLOW_HAS_HANDSHAKE_SERVER) != 0, f->handshake_server_ns);
    put_us_or_null(j, "handshake_client_us", (f->flags & RFLOW_HAS_HANDSHAKE_CLIENT) != 0, f->handshake_client_ns);
    put_ack_rtt(j, "rtt_server_us", f, 1);
    put_ack_rtt(j, "rtt_client_us", f, 0);
    put_rtt(j, "ts_rtt_server_us", &f->ts_rtt[1]);
    put_rtt(j, "ts_rtt_client_us", &f->ts_rtt[0]);
    put_rtt(j, "response_us", &f->response);
    put_rtt(j, "think_us", &f->think);
    put_tcp_dir(j, "c2s", &f->tcp[C2S], loss_known);
    put_tcp_dir(j, "s2c", &f->tcp[S2C], loss_known);
    json_text_close(j, '}');
}

/* Number to name, for the values that people meet (IANA DNS parameters). */
struct dns_name {
    uint16_t number;
    const char *name;
};
static const struct dns_name dns_types[] = {
    {1, "A"},     {2, "NS"},     {5, "CNAME"},  {6, "SOA"},    {12, "PTR"},    {13, "HINFO"}, {15, "MX"},
    {16, "TXT"},  {28, "AAAA"},  {29, "LOC"},   {33, "SRV"},   {35, "NAPTR"},  {39, "DNAME"}, {41, "OPT"},
    {43, "DS"},   {44, "SSHFP"}, {46, "RRSIG"}, {47, "NSEC"},  {48, "DNSKEY"}, {50, "NSEC3"}, {52, "TLSA"},
    {64, "SVCB"}, {65, "HTTPS"}, {99, "SPF"},   {251, "IXFR"}, {252, "AXFR"},  {255, "ANY"},  {257, "CAA"}};
static const struct dns_name dns_rcodes[] = {{0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"}, {3, "NXDOMAIN"},
                                             {4, "NOTIMP"},  {5, "REFUSED"}, {6, "YXDOMAIN"}, {7, "YXRRSET"},
                                             {8, "NXRRSET"}, {9, "NOTAUTH"}, {10, "NOTZONE"}, {16, "BADVERS"}};

static void put_dns_name(struct json_text *j, const char *key, const struct dns_name *table, size_t n, uint16_t number,
                         const char *prefix)
{
    char text[16];

    for (size_t i = 0; i < n; i++) {
        if (table[i].number == number) {
            json_text_str(j, key, table[i].name);
            return;
        }
    }
    snprintf(text, sizeof(text), "%s%u", prefix, number);
    json_text_str(j, key, text);
}

static void put_dns(struct json_text *j, const struct rec_dns *d)
{
    bool answered = (d->flags & RDNS_ANSWERED) != 0;
    uint8_t len = d->name_len <= sizeof(d->name) ? d->name_len : sizeof(d->name);

    json_text_open(j, NULL, '{');
    json_text_u64(j, "id", d->id);
    json_text_string(j, "query", d->name, len);
    put_dns_name(j, "qtype", dns_types, sizeof(dns_types) / sizeof(dns_types[0]), d->qtype, "TYPE");
    if (answered)
        put_dns_name(j, "rcode", dns_rcodes, sizeof(dns_rcodes) / sizeof(dns_rcodes[0]), d->rcode, "RCODE");
    else
        json_text_null(j, "rcode");
    put_us_or_null(j, "rtt_us", answered && (d->flags & RDNS_QUERY_SEEN) != 0, d->rtt_ns);
    json_text_u64(j, "retries", d->retries);
    json_text_bool(j, "unanswered", !answered);
    json_text_close(j, '}');
}

static void put_rtp(struct json_text *j, const struct rec_rtp *r)
{
    json_text_open(j, NULL, '{');
    json_text_u64(j, "ssrc", r->ssrc);
    json_text_str(j, "dir", r->dir == C2S ? "c2s" : "s2c");
    json_text_u64(j, "expected", r->expected);
    json_text_u64(j, "lost", r->lost);
    json_text_u64(j, "paused", r->paused);
    put_us_or_null(j, "jitter_us", r->clock_hz != 0, r->jitter_ns);
    json_text_u64(j, "reordered", r->reordered);
    json_text_u64(j, "dup", r->dup);
    json_text_u64(j, "payload_type", r->payload_type);
    put_u64_or_null(j, "clock_hz", r->clock_hz != 0, r->clock_hz);
    if (r->mos_centi != 0)
        json_text_decimal(j, "mos_estimate", r->mos_centi / 100.0);
    else
        json_text_null(j, "mos_estimate");
    json_text_close(j, '}');
}

/* What one receiver said about one source: its own account of the whole way. */
static void put_rtcp(struct json_text *j, const struct rec_rtcp *r)
{
    json_text_open(j, NULL, '{');
    json_text_u64(j, "ssrc", r->ssrc);
    json_text_str(j, "dir", r->dir == C2S ? "c2s" : "s2c");
    json_text_u64(j, "reports", r->reports);
    json_text_i64(j, "lost", r->lost);
    json_text_decimal(j, "fraction_lost_last", r->fraction_last / 256.0);
    json_text_decimal(j, "fraction_lost_max", r->fraction_max / 256.0);
    json_text_u64(j, "jitter_units", r->jitter_units);
    put_rtt(j, "rtt_us", &r->rtt);
    json_text_close(j, '}');
}

/* ICMP errors about the flow's packets, and what the senders made of "too big". */
static void put_errors(struct json_text *j, const struct rec_flow *f)
{
    json_text_open(j, "icmp_errors", '{');
    json_text_u64(j, "unreachable", f->icmp_unreachable);
    json_text_u64(j, "ttl_exceeded", f->icmp_ttl_exceeded);
    json_text_u64(j, "too_big", f->icmp_too_big);
    json_text_close(j, '}');
}

static void put_pmtu_side(struct json_text *j, const char *key, const struct rec_pmtu *p)
{
    if (!p->told && !p->black_hole) {
        json_text_null(j, key);
        return;
    }
    json_text_open(j, key, '{');
    put_u64_or_null(j, "mtu_bytes", p->told, p->mtu_bytes);
    json_text_u64(j, "too_big_pkts", p->too_big_pkts);
    json_text_bool(j, "adapted", p->adapted);
    json_text_bool(j, "black_hole", p->black_hole);
    json_text_close(j, '}');
}

static void put_pmtu(struct json_text *j, const struct rec_flow *f)
{
    json_text_open(j, "pmtu", '{');
    put_pmtu_side(j, "c2s", &f->pmtu[C2S]);
    put_pmtu_side(j, "s2c", &f->pmtu[S2C]);
    json_text_close(j, '}');
}

/* DNS, RTP and RTCP entries lie behind the flow; a length that does not hold them all ends the list early. */
static void put_attached(struct json_text *j, const struct rec_flow *f)
{
    const uint8_t *p = (const uint8_t *)(f + 1);
    const uint8_t *end = (const uint8_t *)f + f->hdr.len_bytes;

    if (f->n_dns != 0) {
        json_text_open(j, "dns", '[');
        for (unsigned i = 0; i < f->n_dns && end - p >= (ptrdiff_t)sizeof(struct rec_dns); i++) {
            put_dns(j, (const struct rec_dns *)(const void *)p);
            p += sizeof(struct rec_dns);
        }
        json_text_close(j, ']');
    }
    if ((f->flags & RFLOW_ICMP) != 0) {
        json_text_open(j, "icmp", '{');
        put_rtt(j, "echo_rtt_us", &f->icmp_echo);
        json_text_u64(j, "unanswered", f->icmp_unanswered);
        json_text_close(j, '}');
    }
    if (f->n_rtp != 0) {
        json_text_open(j, "rtp", '[');
        for (unsigned i = 0; i < f->n_rtp && end - p >= (ptrdiff_t)sizeof(struct rec_rtp); i++) {
            put_rtp(j, (const struct rec_rtp *)(const void *)p);
            p += sizeof(struct rec_rtp);
        }
        json_text_close(j, ']');
    }
    if (f->n_rtcp != 0) {
        json_text_open(j, "rtcp", '[');
        for (unsigned i = 0; i < f->n_rtcp && end - p >= (ptrdiff_t)sizeof(struct rec_rtcp); i++) {
            put_rtcp(j, (const struct rec_rtcp *)(const void *)p);
            p += sizeof(struct rec_rtcp);
        }
        json_text_close(j, ']');
    }
}

static void put_quic(struct json_text *j, const struct rec_flow *f)
{
    char version[16];

    snprintf(version, sizeof(version), "0x%08x", f->quic_version);
    json_text_open(j, "quic", '{');
    json_text_str(j, "version", f->quic_version == 1 ? "1" : f->quic_version == 0x6b3343cf ? "2" : version);
    put_us_or_null(j, "handshake_us", f->quic_handshake_ns != 0, f->quic_handshake_ns);
    put_us_or_null(j, "handshake_client_us", f->quic_client_ns != 0, f->quic_client_ns);
    put_rtt(j, "spin_rtt_client_us", &f->spin_rtt[0]);
    put_rtt(j, "spin_rtt_server_us", &f->spin_rtt[1]);
    put_rtt(j, "spin_rtt_full_us", &f->spin_rtt_full);
    json_text_close(j, '}');
}

static bool has_ports(uint8_t proto)
{
    return proto == 6 || proto == 17 || proto == 132 || proto == 136 || proto == 33;
}

static void put_endpoints(struct json_text *j, const struct rec_flow *f)
{
    char id[COMMUNITY_ID_BYTES], text[48], proto[8];

    community_id(id, 0, f->addr, f->af, f->proto, f->port);
    json_text_str(j, "community_id", id);
    json_text_str(j, "proto", proto_name(f->proto, proto));
    json_text_str(j, "client", ip_format(&f->addr[0], f->af, text));
    put_u64_or_null(j, "client_port", has_ports(f->proto), f->port[0]);
    json_text_str(j, "server", ip_format(&f->addr[1], f->af, text));
    put_u64_or_null(j, "server_port", has_ports(f->proto), f->port[1]);
    json_text_bool(j, "client_known", (f->flags & RFLOW_CLIENT_KNOWN) != 0);
}

static void put_encapsulation(struct json_text *j, const struct rec_flow *f)
{
    char text[48];

    json_text_open(j, "vlans", '[');
    for (unsigned i = 0; i < f->n_vlans && i < 4; i++)
        json_text_u64(j, NULL, f->vlan[i]);
    json_text_close(j, ']');
    if (f->tunnel == TUNNEL_NONE || f->tunnel >= TUNNEL_COUNT) {
        json_text_null(j, "tunnel");
        return;
    }
    json_text_open(j, "tunnel", '{');
    json_text_str(j, "type", tunnel_type_name(f->tunnel));
    json_text_u64(j, "id", f->tunnel_id);
    if (f->tunnel_af != 0) {
        json_text_str(j, "src", ip_format(&f->tunnel_src, f->tunnel_af, text));
        json_text_str(j, "dst", ip_format(&f->tunnel_dst, f->tunnel_af, text));
    } else {
        json_text_null(j, "src");
        json_text_null(j, "dst");
    }
    json_text_close(j, '}');
}

/* "A~B" in the bytewise order of the names. */
static void put_path(struct json_text *j, const struct rec_flow *f, const struct object_names *names)
{
    char a[SITE_NAME_BYTES], b[SITE_NAME_BYTES], path[WINDOW_NAME_BYTES];

    site_name(names->sites, f->site[0], a);
    site_name(names->sites, f->site[1], b);
    bool in_order = strcmp(a, b) <= 0;
    snprintf(path, sizeof(path), "%s~%s", in_order ? a : b, in_order ? b : a);
    json_text_str(j, "path", path);
}

void ndjson_flow(struct json_text *j, const struct rec_flow *f, const struct object_names *names)
{
    char service[SERVICE_NAME_BYTES];

    json_text_clear(j);
    json_text_open(j, NULL, '{');
    json_text_str(j, "type", "flow");
    put_endpoints(j, f);
    put_encapsulation(j, f);
    json_text_u64(j, "first_ns", f->first_ns);
    json_text_u64(j, "last_ns", f->last_ns);
    json_text_str(j, "end", f->end < FLOW_END_COUNT ? flow_end_name(f->end) : "?");
    json_text_bool(j, "one_way", (f->flags & RFLOW_ONE_WAY) != 0);
    json_text_bool(j, "midstream", (f->flags & RFLOW_MIDSTREAM) != 0);
    put_path(j, f, names);
    service_name(names->services, f->service, service);
    json_text_str(j, "service", service);
    put_dir(j, "c2s", &f->dir[C2S]);
    put_dir(j, "s2c", &f->dir[S2C]);
    if ((f->flags & RFLOW_TCP) != 0)
        put_tcp(j, f);
    put_attached(j, f);
    if ((f->flags & RFLOW_QUIC) != 0)
        put_quic(j, f);
    if (f->transit.n != 0)
        put_rtt(j, "transit_us", &f->transit);
    if ((f->flags & RFLOW_ICMP_ERRORS) != 0)
        put_errors(j, f);
    if ((f->flags & RFLOW_PMTU) != 0)
        put_pmtu(j, f);
    json_text_close(j, '}');
}

/* A fixed array that may lack its end. */
static void put_array(struct json_text *j, const char *key, const char *text, size_t size)
{
    json_text_string(j, key, text, strnlen(text, size));
}

static void put_detail(struct json_text *j, const char *key, const struct rec_event *ev)
{
    json_text_open(j, key, '{');
    for (unsigned i = 0; i < ev->n_kv && i < REC_KV_MAX; i++) {
        const struct rec_kv *kv = &ev->kv[i];
        char name[sizeof(kv->key) + 1];
        snprintf(name, sizeof(name), "%.*s", (int)sizeof(kv->key), kv->key);
        if (kv->text[0] != '\0')
            put_array(j, name, kv->text, sizeof(kv->text));
        else
            json_text_i64(j, name, kv->number);
    }
    json_text_close(j, '}');
}

void ndjson_event_detail(struct json_text *j, const struct rec_event *ev)
{
    json_text_clear(j);
    put_detail(j, NULL, ev);
}

void ndjson_event(struct json_text *j, const struct rec_event *ev, const struct object_names *names)
{
    struct rec_scope key = {.scope = WINDOW_MIRROR, .mirror = ev->mirror};
    char mirror[WINDOW_NAME_BYTES];

    object_name(names, &key, mirror);
    json_text_clear(j);
    json_text_open(j, NULL, '{');
    json_text_str(j, "type", "event");
    json_text_u64(j, "ts_ns", ev->ts_ns);
    json_text_str(j, "kind", ev->kind < EVENT_KIND_COUNT ? event_kind_name(ev->kind) : "?");
    json_text_str(j, "mirror", mirror);
    put_array(j, "subject", ev->subject, sizeof(ev->subject));
    json_text_str(j, "severity", event_severity_name(ev->severity < EVENT_SEVERITY_COUNT ? ev->severity : EVENT_info));
    put_detail(j, "detail", ev);
    json_text_close(j, '}');
}

static void put_pair(struct json_text *j, const char *key, const char *const name[2], uint64_t a, uint64_t b)
{
    json_text_open(j, key, '{');
    json_text_u64(j, name[0], a);
    json_text_u64(j, name[1], b);
    json_text_close(j, '}');
}

static void put_quantile_members(struct json_text *j, const struct window_quantiles *q)
{
    bool known = q->n != 0;

    put_us_or_null(j, "min", known, q->min_ns);
    put_us_or_null(j, "p10", known, q->p10_ns);
    put_us_or_null(j, "p50", known, q->p50_ns);
    put_us_or_null(j, "p90", known, q->p90_ns);
    put_us_or_null(j, "p99", known, q->p99_ns);
    put_us_or_null(j, "max", known, q->max_ns);
    json_text_u64(j, "n", q->n);
}

static void put_quantiles(struct json_text *j, const char *key, const struct window_quantiles *q)
{
    json_text_open(j, key, '{');
    put_quantile_members(j, q);
    json_text_close(j, '}');
}

static void put_window_rtt(struct json_text *j, const char *key, const struct window *w, enum window_hist side)
{
    json_text_open(j, key, '{');
    put_quantile_members(j, &w->q[side]);
    json_text_decimal(j, "coverage", window_rtt_coverage(&w->c, side, w->q[side].n));
    json_text_close(j, '}');
}

/* Names of directions, segments and sides: a path has sites A and B, the rest a client and a server. */
struct window_words {
    const char *direction[2];
    const char *segment[2][2]; /* [direction][upstream, downstream] */
    const char *rtt[2];
};
static const struct window_words path_words = {
    {"a2b", "b2a"}, {{"a_to_tap", "tap_to_b"}, {"b_to_tap", "tap_to_a"}}, {"rtt_a_us", "rtt_b_us"}};
static const struct window_words other_words = {
    {"c2s", "s2c"},
    {{"client_to_tap", "tap_to_server"}, {"server_to_tap", "tap_to_client"}},
    {"rtt_client_us", "rtt_server_us"}};

static bool loss_known(const struct window_dir *d)
{
    return d->data_pkts == 0 || d->judged_pkts != 0;
}

static void put_loss(struct json_text *j, const struct window *w, const struct window_words *words)
{
    const struct window_dir *d = w->c.dir;
    bool blind = w->quality == WINDOW_BLIND;
    bool known = !blind && loss_known(&d[0]) && loss_known(&d[1]);

    json_text_open(j, "lost_pkts", '{');
    for (int i = 0; i < 2; i++) {
        bool dir_known = !blind && loss_known(&d[i]); /* a direction that was never shown is not free of loss */
        put_u64_or_null(j, words->segment[i][0], dir_known, d[i].lost_upstream_pkts);
        put_u64_or_null(j, words->segment[i][1], dir_known, d[i].lost_downstream_pkts);
    }
    json_text_close(j, '}');
    put_pair(j, "data_pkts", words->direction, d[0].data_pkts, d[1].data_pkts);
    put_pair(j, "judged_pkts", words->direction, d[0].judged_pkts, d[1].judged_pkts);
    put_u64_or_null(j, "spurious_pkts", known, d[0].spurious_pkts + d[1].spurious_pkts);
    json_text_u64(j, "reordered_pkts", d[0].reordered_pkts + d[1].reordered_pkts);
    json_text_u64(j, "capture_lost_bytes", d[0].capture_lost_bytes + d[1].capture_lost_bytes);
}

void ndjson_window(struct json_text *j, const struct window *w)
{
    const struct window_words *words = w->scope == WINDOW_PATH ? &path_words : &other_words;
    const struct window_dir *d = w->c.dir;

    json_text_clear(j);
    json_text_open(j, NULL, '{');
    json_text_str(j, "type", window_scope_name(w->scope));
    json_text_str(j, w->scope == WINDOW_PATH ? "path" : "id", w->name);
    json_text_u64(j, "flows", w->c.new_flows);
    put_pair(j, "pkts", words->direction, d[0].pkts, d[1].pkts);
    put_pair(j, "bytes", words->direction, d[0].bytes, d[1].bytes);
    put_loss(j, w, words);
    if (w->scope != WINDOW_HOST) {
        put_window_rtt(j, words->rtt[0], w, WINDOW_HIST_RTT_A);
        put_window_rtt(j, words->rtt[1], w, WINDOW_HIST_RTT_B);
        put_quantiles(j, "response_us", &w->q[WINDOW_HIST_RESPONSE]);
    }
    json_text_u64(j, "failed_connects", w->c.refused_connects + w->c.unanswered_connects);
    json_text_str(j, "quality", window_quality_name(w->quality));
    json_text_close(j, '}');
}

void ndjson_ledger(struct json_text *j, const char *mirror, const struct ledger *l)
{
    json_text_clear(j);
    json_text_open(j, NULL, '{');
    json_text_str(j, "type", "ledger");
    json_text_str(j, "mirror", mirror);
    json_text_u64(j, "offered", l->offered);
    json_text_u64(j, "processed", l->processed);
    json_text_open(j, "drops", '{');
    for (unsigned i = 0; i < LEDGER_DROP_COUNT; i++)
        put_u64_or_null(j, ledger_drop_name(i), (l->unsupported >> i & 1) == 0, l->drops[i]);
    json_text_close(j, '}');
    json_text_close(j, '}');
}

void ndjson_verdict(struct json_text *j, const char *mirror, const struct verdict *v)
{
    json_text_clear(j);
    json_text_open(j, NULL, '{');
    json_text_str(j, "type", "verdict");
    json_text_str(j, "mirror", mirror);
    if (v->has_both_directions)
        json_text_bool(j, "both_directions", v->both_directions);
    else
        json_text_null(j, "both_directions");
    json_text_decimal(j, "duplicate_pct", v->duplicate_pct);
    json_text_bool(j, "truncated", v->truncated);
    if (v->has_capture_loss)
        json_text_decimal(j, "capture_loss_pct", v->capture_loss_pct);
    else
        json_text_null(j, "capture_loss_pct");
    json_text_open(j, "notes", '[');
    for (unsigned i = 0; i < v->n_notes; i++)
        json_text_str(j, NULL, v->note[i]);
    json_text_close(j, ']');
    json_text_close(j, '}');
}

int ndjson_init(struct ndjson *n, FILE *out, bool live, size_t sort_bytes)
{
    *n = (struct ndjson){.out = out};
    if (live)
        return 0;
    n->sort = flowsort_new(sort_bytes != 0 ? sort_bytes : SORT_BYTES_DEFAULT);
    return n->sort != NULL ? 0 : -ENOMEM;
}

void ndjson_fini(struct ndjson *n)
{
    flowsort_free(n->sort);
    n->sort = NULL;
}

static int write_line(void *ctx, const char *line, size_t len)
{
    struct ndjson *n = ctx;

    if (fwrite(line, 1, len, n->out) == len && putc('\n', n->out) != EOF)
        return 0;
    return error_set(&n->error, errno != 0 ? -errno : -EIO, "cannot write the records: %s",
                     strerror(errno != 0 ? errno : EIO));
}

static void sort_or_write(struct ndjson *n, const struct json_text *j, const uint8_t *key, size_t key_len)
{
    if (n->result != 0)
        return;
    if (j->failed)
        n->result = error_set(&n->error, -ENOMEM, "no memory for a record");
    else if (n->sort != NULL)
        n->result = flowsort_add(n->sort, key, key_len, j->text, j->len, &n->error);
    else
        n->result = write_line(n, j->text, j->len);
}

/* A sort key: 0 flows, 1 events; the time; then what tells apart, in network order, so that bytes compare as numbers
 * do. */
static size_t put_key(uint8_t *key, uint8_t class, uint64_t ts_ns)
{
    uint64_t be = htobe64(ts_ns);

    key[0] = class;
    memcpy(key + 1, &be, 8);
    return 9;
}

void ndjson_put_flow(struct ndjson *n, const struct json_text *j, const struct rec_flow *f)
{
    uint8_t key[64];
    size_t len = put_key(key, 0, f->first_ns);

    key[len++] = f->af;
    key[len++] = f->proto;
    for (int i = 0; i < 2; i++) {
        uint16_t port = htobe16(f->port[i]);
        memcpy(key + len, f->addr[i].byte, 16);
        memcpy(key + len + 16, &port, 2);
        len += 18;
    }
    sort_or_write(n, j, key, len);
}

void ndjson_put_event(struct ndjson *n, const struct json_text *j, const struct rec_event *ev)
{
    uint8_t key[16];
    size_t len = put_key(key, 1, ev->ts_ns);

    key[len++] = (uint8_t)(ev->kind >> 8);
    key[len++] = (uint8_t)ev->kind;
    sort_or_write(n, j, key, len);
}

void ndjson_end_sorted(struct ndjson *n)
{
    if (n->result == 0 && n->sort != NULL)
        n->result = flowsort_finish(n->sort, write_line, n, &n->error);
    flowsort_free(n->sort);
    n->sort = NULL;
}

void ndjson_put(struct ndjson *n, const struct json_text *j)
{
    if (n->result == 0 && j->failed)
        n->result = error_set(&n->error, -ENOMEM, "no memory for a record");
    else if (n->result == 0)
        n->result = write_line(n, j->text, j->len);
}

void ndjson_end(struct ndjson *n)
{
    if (n->result == 0 && fflush(n->out) != 0)
        n->result = error_set(&n->error, -errno, "cannot write the records: %s", strerror(errno));
}
