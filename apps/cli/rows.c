/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From records and windows to rows.
 *
 * Loss is attributed to a side here, once: what c2s loses upstream of the tap and what s2c loses downstream of it was
 * lost between client and tap, the rest between tap and server. For a path the four segments stay apart. Percentages
 * are of the data segments of that direction (flows, whose record does not count these apart: of all packets). A number
 * that cannot be known stays null: one missing part makes the sum null.
 */

#include "apps/cli/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/bytes.h"

#define EX COLUMN_EXTRA

const struct column flow_columns[] = {
    {"client", "CLIENT", "derived.client", COLUMN_NAME, 0, "client address and port"},
    {"server", "SERVER", "derived.server", COLUMN_NAME, 0, "server address and port"},
    {"service", "SERVICE", "service", COLUMN_TEXT, 6, "name of the service, else proto/port"},
    {"path", "PATH", "path", COLUMN_NAME, EX, "sites of both ends"},
    {"pkts", "PKTS", "derived.pkts", COLUMN_COUNT, 5, "packets in both directions, copies left out"},
    {"bytes", "BYTES", "derived.bytes", COLUMN_BYTES, 6, "IP bytes in both directions, copies left out"},
    {"loss", "LOSS", "derived.loss_pct", COLUMN_LOSS, 4, "lost packets in percent of all"},
    {"lost-client", "LOST CLI", "derived.lost_client_pkts", COLUMN_COUNT, 0, "lost between client and tap"},
    {"lost-server", "LOST SRV", "derived.lost_server_pkts", COLUMN_COUNT, 0, "lost between tap and server"},
    {"lost-unknown", "LOST ?", "derived.lost_unknown_pkts", COLUMN_COUNT, EX, "lost, side unknown"},
    {"rtt-client", "RTT CLI", "derived.rtt_client_us", COLUMN_LATENCY, 0, "mean RTT tap to client"},
    {"rtt-server", "RTT SRV", "derived.rtt_server_us", COLUMN_LATENCY, 0, "mean RTT tap to server"},
    {"response", "RESPONSE", "derived.response_us", COLUMN_LATENCY, EX, "mean server response time"},
    {"retrans", "RETRANS", "derived.retrans_pkts", COLUMN_COUNT, 7, "segments sent again, whatever the cause"},
    {"capture-lost", "UNSEEN", "derived.capture_lost_bytes", COLUMN_BYTES, EX, "bytes that the mirror missed"},
    {"handshake-client", "HS CLI", "tcp.handshake_client_us", COLUMN_LATENCY, EX, "SYN/ACK to ACK"},
    {"handshake-server", "HS SRV", "tcp.handshake_server_us", COLUMN_LATENCY, EX, "SYN to SYN/ACK"},
    {"proto", "PROTO", "proto", COLUMN_TEXT, EX, "IP protocol"},
    {"end", "END", "end", COLUMN_STATE, EX, "why the flow ended"},
    {"first", "FIRST", "first_ns", COLUMN_TIME, EX, "time of the first packet"},
    {"last", "LAST", "last_ns", COLUMN_TIME, EX, "time of the last packet"},
    {"id", "COMMUNITY ID", "community_id", COLUMN_TEXT, EX, "Community ID v1"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

const struct column path_columns[] = {
    {"time", "TIME", "start_ns", COLUMN_TIME, EX, "start of the window"},
    {"path", "PATH A~B", "path", COLUMN_NAME, 0, "sites of both ends; A is left of the ~"},
    {"flows", "FLOWS", "flows", COLUMN_COUNT, 6, "flows"},
    {"pkts", "PKTS", "derived.pkts", COLUMN_COUNT, 4, "packets in both directions"},
    {"bytes", "BYTES", "derived.bytes", COLUMN_BYTES, 7, "IP bytes in both directions"},
    {"a-tap", "A\xe2\x86\x92TAP", "derived.loss_pct.a_to_tap", COLUMN_LOSS, 0,
     "loss between A and the tap, packets from A"},
    {"tap-b",
     "TAP\xe2\x86\x92"
     "B",
     "derived.loss_pct.tap_to_b", COLUMN_LOSS, 0, "loss between the tap and B, packets from A"},
    {"b-tap", "B\xe2\x86\x92TAP", "derived.loss_pct.b_to_tap", COLUMN_LOSS, 0,
     "loss between B and the tap, packets from B"},
    {"tap-a",
     "TAP\xe2\x86\x92"
     "A",
     "derived.loss_pct.tap_to_a", COLUMN_LOSS, 0, "loss between the tap and A, packets from B"},
    {"lost", "LOST", "derived.lost_pkts", COLUMN_COUNT, EX, "lost packets, all segments"},
    {"rtt-a", "RTT A", "rtt_a_us.p50", COLUMN_LATENCY, 0, "median RTT tap to A"},
    {"rtt-b", "RTT B", "rtt_b_us.p50", COLUMN_LATENCY, 0, "median RTT tap to B"},
    {"rtt-a-p90", "A p90", "rtt_a_us.p90", COLUMN_LATENCY, EX, "90th percentile of the RTT tap to A"},
    {"rtt-b-p90", "B p90", "rtt_b_us.p90", COLUMN_LATENCY, EX, "90th percentile of the RTT tap to B"},
    {"response", "RESPONSE", "response_us.p50", COLUMN_LATENCY, EX, "median server response time"},
    {"failed", "FAILED", "failed_connects", COLUMN_COUNT, 5, "connection attempts refused or not answered"},
    {"reordered", "REORD", "reordered_pkts", COLUMN_COUNT, EX, "packets that came late, not lost"},
    {"spurious", "SPUR", "spurious_pkts", COLUMN_COUNT, EX, "sent again although the first copy had arrived"},
    {"unseen", "UNSEEN", "capture_lost_bytes", COLUMN_BYTES, EX, "bytes that the mirror missed"},
    {"quality", "QUALITY", "quality", COLUMN_STATE, 3, "ok, unsure (the mirror missed traffic) or blind"},
    {"sensor", "SENSOR", "sensor", COLUMN_TEXT, EX, "the sensor that saw it"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

#define SCOPE_COLUMNS(title, help)                                                                                     \
    {"time", "TIME", "start_ns", COLUMN_TIME, EX, "start of the window"}, {"name", title, "id", COLUMN_NAME, 0, help}, \
        {"flows", "FLOWS", "flows", COLUMN_COUNT, 6, "flows"},                                                         \
        {"pkts", "PKTS", "derived.pkts", COLUMN_COUNT, 4, "packets in both directions"},                               \
        {"bytes", "BYTES", "derived.bytes", COLUMN_BYTES, 7, "IP bytes in both directions"},                           \
        {"failed", "FAILED", "failed_connects", COLUMN_COUNT, 0, "connection attempts refused or not answered"},       \
        {"lost-client", "LOST CLI", "derived.lost_client_pkts", COLUMN_COUNT, 0, "lost between clients and tap"},      \
        {"lost-server", "LOST SRV", "derived.lost_server_pkts", COLUMN_COUNT, 0, "lost between tap and servers"},      \
        {"rtt-client", "RTT CLI", "rtt_client_us.p50", COLUMN_LATENCY, 0, "median RTT tap to clients"},                \
        {"rtt-server", "RTT SRV", "rtt_server_us.p50", COLUMN_LATENCY, 0, "median RTT tap to servers"},                \
        {"response", "RESPONSE", "response_us.p50", COLUMN_LATENCY, 5, "median server response time"},                 \
        {"response-p90", "RESP p90", "response_us.p90",                                                                \
         COLUMN_LATENCY, EX,         "90th percentile of the server response time"},                                   \
        {"quality", "QUALITY", "quality", COLUMN_STATE, 3, "ok, unsure or blind"},                                     \
        {"sensor", "SENSOR", "sensor", COLUMN_TEXT, EX, "the sensor that saw it"},                                     \
    {                                                                                                                  \
        NULL, NULL, NULL, COLUMN_TEXT, 0, NULL                                                                         \
    }

const struct column service_columns[] = {SCOPE_COLUMNS("SERVICE", "name of the service, else proto/port")};
const struct column mirror_columns[] = {SCOPE_COLUMNS("MIRROR", "the captured port or file")};

/* What carries traffic: rates first. near and far: of a circuit its site's side of the tap, else the clients'. */
#define LINK_COLUMNS(title, help, near, far)                                                                           \
    {"time", "TIME", "start_ns", COLUMN_TIME, EX, "start of the window"}, {"name", title, "id", COLUMN_NAME, 0, help}, \
        {"out", "OUT", "rate_bits_per_s.c2s", COLUMN_RATE, 0, "from " near},                                           \
        {"in", "IN", "rate_bits_per_s.s2c", COLUMN_RATE, 0, "to " near},                                               \
        {"peak", "PEAK 1ms", "peak_1ms_bits_per_s", COLUMN_RATE, 2, "in the busiest millisecond, both directions"},    \
        {"use", "USE", "use_pct", COLUMN_PERCENT, 1, "of the configured capacity, the busier direction"},              \
        {"flows", "FLOWS", "flows", COLUMN_COUNT, 6, "flows"},                                                         \
        {"pkts", "PKTS", "derived.pkts", COLUMN_COUNT, EX, "packets in both directions"},                              \
        {"bytes", "BYTES", "derived.bytes", COLUMN_BYTES, EX, "IP bytes in both directions"},                          \
        {"lost-near", "LOST NEAR", "derived.lost_client_pkts", COLUMN_COUNT, 0, "lost between the tap and " near},     \
        {"lost-far", "LOST FAR", "derived.lost_server_pkts", COLUMN_COUNT, 4, "lost between the tap and " far},        \
        {"rtt-near", "RTT NEAR", "rtt_client_us.p50", COLUMN_LATENCY, 0, "median RTT tap to " near},                   \
        {"rtt-far", "RTT FAR", "rtt_server_us.p50", COLUMN_LATENCY, 4, "median RTT tap to " far},                      \
        {"failed", "FAILED", "failed_connects", COLUMN_COUNT, 5, "connection attempts refused or not answered"},       \
        {"missing", "MISSING", "missing_pct", COLUMN_PERCENT, EX, "share of the window that was not watched"},         \
        {"quality", "QUALITY", "quality", COLUMN_STATE, 3, "ok, unsure or blind"},                                     \
        {"sensor", "SENSOR", "sensor", COLUMN_TEXT, EX, "the sensor that saw it"},                                     \
    {                                                                                                                  \
        NULL, NULL, NULL, COLUMN_TEXT, 0, NULL                                                                         \
    }

const struct column circuit_columns[] = {
    LINK_COLUMNS("CIRCUIT", "id of the circuit", "the circuit's site", "the other end")};
const struct column vlan_columns[] = {
    LINK_COLUMNS("VLAN", "id, OUTER.INNER where there are two", "clients", "servers")};
const struct column tunnel_columns[] = {LINK_COLUMNS("TUNNEL", "type, id and ends", "clients", "servers")};
const struct column host_columns[] = {LINK_COLUMNS("HOST", "address", "clients", "servers")};

const struct column event_columns[] = {
    {"time", "TIME", "ts_ns", COLUMN_TIME, 0, "when, by packet time"},
    {"severity", "SEVERITY", "severity", COLUMN_STATE, 0, "info, minor, major or critical"},
    {"kind", "KIND", "kind", COLUMN_TEXT, 0, "what happened"},
    {"subject", "SUBJECT", "subject", COLUMN_NAME, 0, "whom it happened to"},
    {"detail", "DETAIL", "detail", COLUMN_TEXT, 3, "more about it, as JSON"},
    {"mirror", "MIRROR", "mirror", COLUMN_TEXT, 6, "where it was seen"},
    {"sensor", "SENSOR", "sensor", COLUMN_TEXT, EX, "the sensor that saw it"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

/* ---- sums in which one unknown part makes the whole unknown ---- */

struct sum {
    json_int_t value;
    bool unknown;
};

static void sum_add(struct sum *s, const json_t *row, const char *key)
{
    const json_t *v = row_value(row, key);

    if (json_is_integer(v))
        s->value += json_integer_value(v);
    else
        s->unknown = true;
}

static json_t *sum_of_2(const json_t *row, const char *a, const char *b)
{
    struct sum s = {0};

    sum_add(&s, row, a);
    sum_add(&s, row, b);
    return s.unknown ? json_null() : json_integer(s.value);
}

static json_t *percent(const json_t *part, const json_t *whole)
{
    double of = json_number_value(whole);

    return json_is_number(part) && json_is_number(whole) && of > 0 ? json_real(100 * json_number_value(part) / of)
                                                                   : json_null();
}

static json_t *mean(const json_t *rtt)
{
    double n = json_number_value(json_object_get(rtt, "n"));

    return n > 0 ? json_real(json_number_value(json_object_get(rtt, "sum")) / n) : json_null();
}

/* ---- flows ---- */

static json_t *endpoint(const json_t *row, const char *address_key, const char *port_key)
{
    const char *address = json_string_value(json_object_get(row, address_key));
    const json_t *port = json_object_get(row, port_key);

    if (address == NULL)
        return json_null();
    if (!json_is_integer(port) || json_integer_value(port) == 0)
        return json_string(address);
    bool v6 = strchr(address, ':') != NULL;
    return json_sprintf("%s%s%s:%d", v6 ? "[" : "", address, v6 ? "]" : "", (int)json_integer_value(port));
}

static void derive_tcp(json_t *d, const json_t *row)
{
    json_t *client = sum_of_2(row, "tcp.c2s.lost_upstream_pkts", "tcp.s2c.lost_downstream_pkts");
    json_t *server = sum_of_2(row, "tcp.c2s.lost_downstream_pkts", "tcp.s2c.lost_upstream_pkts");
    json_t *unknown = sum_of_2(row, "tcp.c2s.lost_unknown_pkts", "tcp.s2c.lost_unknown_pkts");

    if (json_is_integer(client) && json_is_integer(server) && json_is_integer(unknown)) {
        json_t *lost =
            json_integer(json_integer_value(client) + json_integer_value(server) + json_integer_value(unknown));
        json_object_set_new(d, "loss_pct", percent(lost, json_object_get(d, "pkts")));
        json_object_set_new(d, "lost_pkts", lost);
    }
    json_object_set_new(d, "lost_client_pkts", client);
    json_object_set_new(d, "lost_server_pkts", server);
    json_object_set_new(d, "lost_unknown_pkts", unknown);
    json_object_set_new(d, "retrans_pkts", sum_of_2(row, "tcp.c2s.retrans_pkts", "tcp.s2c.retrans_pkts"));
    json_object_set_new(d, "capture_lost_bytes",
                        sum_of_2(row, "tcp.c2s.capture_lost_bytes", "tcp.s2c.capture_lost_bytes"));
    json_object_set_new(d, "rtt_client_us", mean(row_value(row, "tcp.rtt_client_us")));
    json_object_set_new(d, "rtt_server_us", mean(row_value(row, "tcp.rtt_server_us")));
    json_object_set_new(d, "response_us", mean(row_value(row, "tcp.response_us")));
}

/* The mean RTT of answered DNS queries: the server's side of a flow that is no TCP. */
static json_t *dns_mean(const json_t *list)
{
    double sum = 0;
    size_t n = 0, i;
    json_t *query;

    json_array_foreach((json_t *)list, i, query)
    {
        const json_t *rtt = json_object_get(query, "rtt_us");
        n += json_is_number(rtt);
        sum += json_number_value(rtt);
    }
    return n > 0 ? json_real(sum / (double)n) : json_null();
}

json_t *row_of_flow(json_t *row)
{
    json_t *d = row ? json_object() : NULL;

    if (d == NULL)
        return NULL;
    json_object_set_new(d, "client", endpoint(row, "client", "client_port"));
    json_object_set_new(d, "server", endpoint(row, "server", "server_port"));
    json_object_set_new(d, "pkts", sum_of_2(row, "c2s.pkts", "s2c.pkts"));
    json_object_set_new(d, "bytes", sum_of_2(row, "c2s.bytes", "s2c.bytes"));
    if (row_value(row, "tcp") != NULL)
        derive_tcp(d, row);
    else if (row_value(row, "dns") != NULL)
        json_object_set_new(d, "rtt_server_us", dns_mean(row_value(row, "dns")));
    else if (row_value(row, "icmp") != NULL)
        json_object_set_new(d, "rtt_server_us", mean(row_value(row, "icmp.echo_rtt_us")));
    json_object_set_new(row, "derived", d);
    return row;
}

/* ---- paths, services, mirrors ---- */

static void derive_segment(json_t *loss, const json_t *row, const char *segment, const char *direction)
{
    char lost[64], judged[64], data[64];

    snprintf(lost, sizeof(lost), "lost_pkts.%s", segment);
    snprintf(judged, sizeof(judged), "judged_pkts.%s", direction);
    snprintf(data, sizeof(data), "data_pkts.%s", direction);
    const json_t *of = row_value(row, judged);
    json_object_set_new(loss, segment, percent(row_value(row, lost), of ? of : row_value(row, data)));
}

json_t *row_of_path(json_t *row)
{
    static const char *const segment[4] = {"lost_pkts.a_to_tap", "lost_pkts.tap_to_b", "lost_pkts.b_to_tap",
                                           "lost_pkts.tap_to_a"};
    json_t *d = row ? json_object() : NULL, *loss = json_object();
    struct sum lost = {0};

    if (d == NULL || loss == NULL) {
        json_decref(loss);
        return NULL;
    }
    derive_segment(loss, row, "a_to_tap", "a2b");
    derive_segment(loss, row, "tap_to_b", "a2b");
    derive_segment(loss, row, "b_to_tap", "b2a");
    derive_segment(loss, row, "tap_to_a", "b2a");
    for (size_t i = 0; i < 4; i++)
        sum_add(&lost, row, segment[i]);
    json_object_set_new(d, "loss_pct", loss);
    json_object_set_new(d, "lost_pkts", lost.unknown ? json_null() : json_integer(lost.value));
    json_object_set_new(d, "pkts", sum_of_2(row, "pkts.a2b", "pkts.b2a"));
    json_object_set_new(d, "bytes", sum_of_2(row, "bytes.a2b", "bytes.b2a"));
    json_object_set_new(row, "derived", d);
    return row;
}

json_t *row_of_service(json_t *row)
{
    json_t *d = row ? json_object() : NULL;

    if (d == NULL)
        return NULL;
    json_t *client = sum_of_2(row, "lost_pkts.client_to_tap", "lost_pkts.tap_to_client");
    json_t *server = sum_of_2(row, "lost_pkts.tap_to_server", "lost_pkts.server_to_tap");
    bool known = json_is_integer(client) && json_is_integer(server);
    json_object_set_new(d, "lost_pkts",
                        known ? json_integer(json_integer_value(client) + json_integer_value(server)) : json_null());
    json_object_set_new(d, "lost_client_pkts", client);
    json_object_set_new(d, "lost_server_pkts", server);
    json_object_set_new(d, "pkts", sum_of_2(row, "pkts.c2s", "pkts.s2c"));
    json_object_set_new(d, "bytes", sum_of_2(row, "bytes.c2s", "bytes.s2c"));
    json_object_set_new(row, "derived", d);
    return row;
}

/* ---- windows ---- */

/* Names of directions, segments and sides, as in the records: a path has sites A and B, the rest a client and a server.
 */
struct words {
    const char *direction[2];
    const char *segment[2][2]; /* [direction][upstream, downstream] */
    const char *rtt[2];
};
static const struct words path_words = {
    {"a2b", "b2a"}, {{"a_to_tap", "tap_to_b"}, {"b_to_tap", "tap_to_a"}}, {"rtt_a_us", "rtt_b_us"}};
static const struct words other_words = {{"c2s", "s2c"},
                                         {{"client_to_tap", "tap_to_server"}, {"server_to_tap", "tap_to_client"}},
                                         {"rtt_client_us", "rtt_server_us"}};

static json_t *quantiles(const struct window_quantiles *q)
{
    if (q->n == 0)
        return json_pack("{s:n,s:n,s:n,s:n,s:n,s:n,s:i}", "min", "p10", "p50", "p90", "p99", "max", "n", 0);
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:I}", "min", (double)q->min_ns / 1e3, "p10", (double)q->p10_ns / 1e3,
                     "p50", (double)q->p50_ns / 1e3, "p90", (double)q->p90_ns / 1e3, "p99", (double)q->p99_ns / 1e3,
                     "max", (double)q->max_ns / 1e3, "n", (json_int_t)q->n);
}

static json_t *rtt_quantiles(const struct window *w, enum window_hist side)
{
    double coverage = window_rtt_coverage(&w->c, side, w->q[side].n);
    json_t *o = quantiles(&w->q[side]);

    json_object_set_new(o, "coverage", isnan(coverage) ? json_null() : json_real(coverage));
    return o;
}

json_t *row_text(const char *text, size_t max_len)
{
    char escaped[2048];
    size_t len = strnlen(text, max_len);
    json_t *string = json_stringn(text, len);

    if (string != NULL)
        return string;
    text_escape(escaped, sizeof(escaped), text, len);
    return json_string(escaped);
}

static json_t *count(uint64_t v)
{
    return json_integer((json_int_t)v);
}

/* Loss is unknown where data was seen but none of it in both directions. */
static bool is_judged(const struct window_dir *d)
{
    return d->data_pkts == 0 || d->judged_pkts != 0;
}

static json_t *judged(const struct window_dir *d, uint64_t v)
{
    return is_judged(d) ? count(v) : json_null();
}

static void set_counters(json_t *row, const struct window *w, const struct words *words)
{
    static const char *const names[] = {"pkts", "bytes", "data_pkts", "judged_pkts", "retrans_pkts", "zero_windows"};
    json_t *lost = json_object();
    uint64_t spurious = 0, reordered = 0, missed = 0;

    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
        json_object_set_new(row, names[n], json_object());
    for (size_t i = 0; i < 2; i++) {
        const struct window_dir *d = &w->c.dir[i];
        const uint64_t values[] = {d->pkts, d->bytes, d->data_pkts, d->judged_pkts, d->retrans_pkts, d->zero_windows};
        for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
            json_object_set_new(json_object_get(row, names[n]), words->direction[i], count(values[n]));
        json_object_set_new(lost, words->segment[i][0], judged(d, d->lost_upstream_pkts));
        json_object_set_new(lost, words->segment[i][1], judged(d, d->lost_downstream_pkts));
        spurious += d->spurious_pkts;
        reordered += d->reordered_pkts;
        missed += d->capture_lost_bytes;
    }
    json_object_set_new(row, "lost_pkts", lost);
    json_object_set_new(row, "spurious_pkts", count(spurious));
    json_object_set_new(row, "reordered_pkts", count(reordered));
    json_object_set_new(row, "capture_lost_bytes", count(missed));
    json_object_set_new(row, "failed_connects", count(w->c.refused_connects + w->c.unanswered_connects));
}

/* Bits on the wire per second; the peak is null where it is not measured. */
static void set_rates(json_t *row, const struct window *w, const struct words *words)
{
    json_t *rates = json_object();

    for (size_t i = 0; i < 2; i++)
        json_object_set_new(rates, words->direction[i],
                            w->length_ns != 0 ? json_real(8e9 * (double)w->c.dir[i].frame_bytes / (double)w->length_ns)
                                              : json_null());
    json_object_set_new(row, "rate_bits_per_s", rates);
    json_object_set_new(row, "peak_1ms_bits_per_s",
                        w->c.peak_1ms_bytes != 0 ? json_real(8000.0 * (double)w->c.peak_1ms_bytes) : json_null());
}

json_t *row_of_window(const struct window *w, const char *sensor)
{
    const struct words *words = w->scope == WINDOW_PATH ? &path_words : &other_words;
    json_t *row = json_object();

    json_object_set_new(row, "type", json_string(window_scope_name(w->scope)));
    json_object_set_new(row, w->scope == WINDOW_PATH ? "path" : "id", row_text(w->name, sizeof(w->name)));
    json_object_set_new(row, "sensor", row_text(sensor, SIZE_MAX));
    json_object_set_new(row, "start_ns", count(w->start_ns));
    json_object_set_new(row, "length_ns", count(w->length_ns));
    json_object_set_new(row, "flows", count(w->c.new_flows));
    json_object_set_new(row, "missing_pct", count(w->missing_pct));
    set_counters(row, w, words);
    set_rates(row, w, words);
    json_object_set_new(row, words->rtt[0], rtt_quantiles(w, WINDOW_HIST_RTT_A));
    json_object_set_new(row, words->rtt[1], rtt_quantiles(w, WINDOW_HIST_RTT_B));
    json_object_set_new(row, "response_us", quantiles(&w->q[WINDOW_HIST_RESPONSE]));
    json_object_set_new(row, "quality", json_string(window_quality_name(w->quality)));
    return w->scope == WINDOW_PATH ? row_of_path(row) : row_of_service(row);
}

/* ---- ranking ---- */

static uint64_t part(const json_t *row, const char *key)
{
    double v = json_number_value(row_value(row, key));

    return v > 0 ? (uint64_t)v : 0;
}

struct badness badness_of_flow(const json_t *row)
{
    uint64_t client = part(row, "derived.rtt_client_us"), server = part(row, "derived.rtt_server_us");

    return (struct badness){{part(row, "derived.lost_pkts"),
                             part(row, "derived.retrans_pkts") + part(row, "tcp.syn_retries"),
                             client > server ? client : server}};
}

struct badness badness_of_scope(const json_t *row)
{
    return (struct badness){{part(row, "derived.lost_pkts"), part(row, "failed_connects"), part(row, "derived.pkts")}};
}

struct badness badness_of_window(const struct window *w)
{
    uint64_t lost = 0;
    bool known = true;

    for (size_t i = 0; i < 2; i++) {
        const struct window_dir *d = &w->c.dir[i];
        known &= is_judged(d);
        lost += d->lost_upstream_pkts + d->lost_downstream_pkts;
    }
    return (struct badness){
        {known ? lost : 0, w->c.refused_connects + w->c.unanswered_connects, w->c.dir[0].pkts + w->c.dir[1].pkts}};
}

int badness_compare(const struct badness *a, const struct badness *b)
{
    for (size_t i = 0; i < 3; i++)
        if (a->part[i] != b->part[i])
            return a->part[i] > b->part[i] ? 1 : -1;
    return 0;
}

int worst_init(struct worst *w, size_t n)
{
    *w = (struct worst){.n = n, .row = calloc(n, sizeof(*w->row)), .badness = calloc(n, sizeof(*w->badness))};
    if (w->row != NULL && w->badness != NULL)
        return 0;
    worst_fini(w);
    return -1;
}

void worst_fini(struct worst *w)
{
    for (size_t i = 0; i < w->n_used; i++)
        json_decref(w->row[i]);
    free(w->row);
    free(w->badness);
    *w = (struct worst){0};
}

/* Insertion into a short sorted list; equal rows keep the order in which they came. */
void worst_offer(struct worst *w, json_t *row, struct badness badness)
{
    size_t at = w->n_used;

    if (row == NULL)
        return;
    w->n_seen++;
    while (at > 0 && badness_compare(&badness, &w->badness[at - 1]) > 0)
        at--;
    if (at == w->n) {
        json_decref(row);
        return;
    }
    if (w->n_used == w->n)
        json_decref(w->row[--w->n_used]);
    memmove(&w->row[at + 1], &w->row[at], (w->n_used - at) * sizeof(*w->row));
    memmove(&w->badness[at + 1], &w->badness[at], (w->n_used - at) * sizeof(*w->badness));
    w->row[at] = row;
    w->badness[at] = badness;
    w->n_used++;
}

json_t *worst_rows(const struct worst *w)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < w->n_used; i++)
        json_array_append(rows, w->row[i]);
    return rows;
}

struct ranked {
    json_t *row;
    struct badness badness;
    size_t order;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int c = badness_compare(&y->badness, &x->badness);

    return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

void rows_sort_worst(json_t *rows, struct badness (*badness)(const json_t *row))
{
    size_t n = json_array_size(rows);
    struct ranked *list = calloc(n + 1, sizeof(*list));

    if (list == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_array_get(rows, i);
        list[i] = (struct ranked){json_incref(row), badness(row), i};
    }
    qsort(list, n, sizeof(*list), compare_ranked);
    for (size_t i = 0; i < n; i++)
        json_array_set_new(rows, i, list[i].row);
    free(list);
}
