/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The analytics thread from rings to records: nothing lost under back-pressure, the ledger's identity, the same output
 * for one worker and for two, malformed messages, workers without an end, verdicts and events about the mirror. Run
 * under ThreadSanitizer, too.
 */

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include "analytics/analytics.h"
#include "common/bytes.h"
#include "common/events.h"
#include "tests/unit/messages.h"

static const char *const mirrors[] = {"m0", "m1"};

/* One run: rings, tables, a memory stream for records. */
struct run {
    struct spsc *ring[2];
    struct site_table *sites;
    struct service_table *services;
    struct analytics_options o;
    struct analytics *a;
    struct analytics_result r;
    char *out;
    size_t out_len;
    FILE *stream;
};

static void start(struct run *x, unsigned n_rings, size_t ring_bytes, bool live)
{
    struct error e = {""};

    *x = (struct run){.sites = site_table_new(), .services = service_table_new()};
    site_table_finish(x->sites);
    for (unsigned i = 0; i < n_rings; i++)
        x->ring[i] = spsc_new(ring_bytes);
    x->stream = open_memstream(&x->out, &x->out_len);
    x->o = (struct analytics_options){.rings = x->ring,
                                      .n_rings = n_rings,
                                      .sites = x->sites,
                                      .services = x->services,
                                      .mirror_names = mirrors,
                                      .n_mirrors = 1,
                                      .sensor = "test",
                                      .window_ns = 10 * SECOND,
                                      .live = live,
                                      .ndjson = x->stream};
    ck_assert_msg(analytics_start(&x->o, &x->a, &e) == 0, "%s", e.text);
}

static void finish(struct run *x)
{
    analytics_join(x->a, &x->r);
    fclose(x->stream);
    for (unsigned i = 0; i < x->o.n_rings; i++)
        spsc_free(x->ring[i]);
    site_table_free(x->sites);
    service_table_free(x->services);
}

static void clean(struct run *x)
{
    free(x->out);
}

/* The n-th record of a type; NULL when there are fewer. */
static json_t *record(const struct run *x, const char *type, unsigned n)
{
    char start_of[64];
    int len = snprintf(start_of, sizeof(start_of), "{\"type\":\"%s\",", type);

    for (const char *line = x->out; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, start_of, (size_t)len) == 0 && n-- == 0)
            return json_loadb(line, (size_t)(end - line), 0, NULL);
        line = end + 1;
    }
    return NULL;
}

static unsigned count(const struct run *x, const char *type)
{
    unsigned n = 0;

    for (json_t *v; (v = record(x, type, n)) != NULL; n++)
        json_decref(v);
    return n;
}

static void assert_identity(const json_t *ledger)
{
    json_int_t sum = json_integer_value(json_object_get(ledger, "processed"));
    const char *key;
    json_t *v;

    json_object_foreach(json_object_get(ledger, "drops"), key, v) sum += json_integer_value(v);
    ck_assert_int_eq(json_integer_value(json_object_get(ledger, "offered")), sum);
}

/* What worker `worker` of `n_workers` sends of 60 windows: its share of the flows, its share of the packets. */
static void work(struct spsc *ring, unsigned worker, unsigned n_workers)
{
    for (uint64_t w = 0; w < 60; w++) {
        uint64_t start_ns = T0 + w * 10 * SECOND;
        for (unsigned i = 0; i < 40; i++) {
            if (i % n_workers != worker)
                continue;
            struct rec_flow f =
                tcp_flow("10.0.1.5", "10.0.0.7", (uint16_t)(1024 + i), start_ns + mix64(w * 40 + i) % SECOND);
            put_message(ring, &f);
        }
        for (unsigned k = 0; k < 2; k++) {
            if (n_workers == 2 && k != worker)
                continue;
            uint64_t rtt_ns[] = {1000000 + k * 5000000, 2000000};
            struct window_message m = part(path_key("10.0.0.0", "10.0.1.0"), start_ns, 10 + k, rtt_ns, 2);
            put_message(ring, &m);
            m = part(mirror_key(0), start_ns, 10 + k, rtt_ns, 2);
            put_message(ring, &m);
        }
        struct rec_window_end e = window_end(start_ns, (w + 1) * 100 / n_workers);
        put_message(ring, &e);
    }
    put_eof(ring);
}

struct worker_argument {
    struct spsc *ring;
    unsigned worker, n_workers;
};

static void *work_thread(void *arg)
{
    struct worker_argument *a = arg;

    work(a->ring, a->worker, a->n_workers);
    return NULL;
}

START_TEST(one_worker_or_two_make_the_same_records)
{
    struct run one, two;
    pthread_t thread[2];
    struct worker_argument argument[2];

    start(&one, 1, 1 << 16, false);
    work(one.ring[0], 0, 1);
    finish(&one);
    start(&two, 2, 1 << 16, false); /* small rings: the workers must wait */
    for (unsigned i = 0; i < 2; i++) {
        argument[i] = (struct worker_argument){two.ring[i], i, 2};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, work_thread, &argument[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    finish(&two);

    ck_assert_int_eq(one.r.status, 0);
    ck_assert_uint_eq(one.r.flows, 2400);
    ck_assert_uint_eq(two.r.flows, 2400);
    ck_assert_uint_eq(one.r.windows_closed, 60);
    ck_assert_uint_eq(two.r.windows_closed, 60);
    ck_assert_uint_eq(two.r.late_parts + two.r.bad_messages + two.r.ring_dropped, 0);
    ck_assert_str_eq(one.out, two.out);
    ck_assert_uint_eq(count(&one, "flow"), 2400);
    json_t *path = record(&one, "path", 0);
    json_int_t a2b = 0;
    double p50;
    ck_assert_int_eq(json_unpack(path, "{s:{s:I}, s:{s:F}}", "pkts", "a2b", &a2b, "rtt_a_us", "p50", &p50), 0);
    ck_assert_int_eq(a2b, 60 * 21);
    ck_assert_double_eq_tol(p50, 2000, 2000 * 0.016);
    json_decref(path);
    ck_assert_uint_eq(count(&one, "host"), 2);
    json_t *ledger = record(&two, "ledger", 0);
    ck_assert_int_eq(json_integer_value(json_object_get(ledger, "offered")), 6000);
    assert_identity(ledger);
    json_decref(ledger);
    clean(&one);
    clean(&two);
}
END_TEST

static void nic_lost_7(void *ctx, uint32_t mirror, struct ledger *ret_nic)
{
    (void)ctx;
    ret_nic->drops[LEDGER_nic_missed] = 7 * (mirror + 1);
    ret_nic->offered = ret_nic->processed = 12345; /* not asked for */
    ret_nic->unsupported = 1u << LEDGER_no_mbuf;
}

START_TEST(the_nic_is_part_of_the_account)
{
    struct run x;
    static const uint32_t ring_mirror[] = {0, 1};

    *(&x) = (struct run){0};
    start(&x, 2, 1 << 16, false);
    analytics_join(x.a, &x.r); /* without a word from the workers: ended all the same */
    x.o.n_mirrors = 2;
    x.o.ring_mirror = ring_mirror;
    x.o.nic_ledger = nic_lost_7;
    ck_assert_int_eq(analytics_start(&x.o, &x.a, NULL), 0);
    struct rec_window_end e = window_end(T0, 100);
    put_message(x.ring[0], &e);
    e = window_end(T0, 1000);
    put_message(x.ring[1], &e);
    finish(&x);
    ck_assert_uint_eq(x.r.n_mirrors, 2);
    ck_assert_uint_eq(x.r.mirror[0].ledger.offered, 107);
    ck_assert_uint_eq(x.r.mirror[1].ledger.offered, 1014);
    for (int m = 0; m < 2; m++) {
        const struct ledger *l = &x.r.mirror[m].ledger;
        ck_assert_uint_eq(l->offered, l->processed + ledger_drop_sum(l));
        ck_assert_uint_eq(l->unsupported, 1u << LEDGER_no_mbuf);
        ck_assert_ptr_nonnull(strstr(x.r.mirror[m].verdict.note[1], "the sensor itself dropped"));
    }
    /* first run: two verdicts are without packets; the last two records are of the second run */
    json_t *event = record(&x, "event", 0);
    ck_assert_str_eq(json_string_value(json_object_get(event, "kind")), "sensor.overload_begin");
    json_decref(event);
    clean(&x);
}
END_TEST

START_TEST(malformed_messages_are_counted)
{
    struct run x;
    struct rec_flow f = tcp_flow("10.0.1.5", "10.0.0.7", 1, T0);
    struct rec_event ev = {.hdr = {.len_bytes = sizeof(ev), .type = REC_EVENT}, .kind = 9999};
    struct rec_hdr odd = {.len_bytes = 8, .type = 77};

    start(&x, 1, 1 << 16, false);
    f.hdr.len_bytes = 64; /* shorter than a flow */
    put_message(x.ring[0], &f);
    put_message(x.ring[0], &ev);
    put_message(x.ring[0], &odd);
    uint32_t *p = spsc_reserve(x.ring[0], 8); /* claims more than the ring holds of it */
    p[0] = 4096;
    p[1] = REC_FLOW;
    spsc_commit(x.ring[0]);
    put_eof(x.ring[0]);
    finish(&x);
    ck_assert_uint_eq(x.r.bad_messages, 4);
    ck_assert_uint_eq(x.r.flows, 0);
    ck_assert_int_eq(x.r.status, 0);
    clean(&x);
}
END_TEST

/* A mirror's window of a minute with these numbers, closed at once. */
static void give_mirror(struct run *x, uint64_t start_ns, uint64_t data, uint64_t judged, uint64_t missed_bytes)
{
    struct window_message m = part(mirror_key(0), start_ns, data, NULL, 0);

    m.w.c.dir[0].judged_pkts = judged;
    m.w.c.dir[0].capture_lost_bytes = missed_bytes;
    m.w.c.dir[0].capture_gaps = missed_bytes / 10;
    put_message(x->ring[0], &m);
    struct rec_window_end e = window_end(start_ns, data);
    put_message(x->ring[0], &e);
}

START_TEST(verdicts_and_events_about_the_mirror)
{
    struct run x;

    start(&x, 1, 1 << 16, false);
    for (uint64_t i = 0; i < 30; i++)
        give_mirror(&x, T0 + i * 10 * SECOND, 100, 0, 0);
    put_eof(x.ring[0]);
    finish(&x);
    ck_assert(x.r.mirror[0].verdict.has_both_directions && !x.r.mirror[0].verdict.both_directions);
    ck_assert_uint_eq(count(&x, "event"), 1); /* five minutes, one event */
    json_t *v = record(&x, "event", 0);
    ck_assert_str_eq(json_string_value(json_object_get(v, "kind")), "mirror.one_way");
    json_decref(v);
    v = record(&x, "verdict", 0);
    ck_assert(json_is_false(json_object_get(v, "both_directions")) &&
              json_is_null(json_object_get(v, "capture_loss_pct")));
    json_decref(v);
    clean(&x);

    start(&x, 1, 1 << 16, false);
    for (uint64_t i = 0; i < 30; i++)
        give_mirror(&x, T0 + i * 10 * SECOND, 100, 100, i >= 12 && i < 24 ? 2000 : 0);
    put_eof(x.ring[0]);
    finish(&x);
    ck_assert(x.r.mirror[0].verdict.both_directions);
    ck_assert_double_eq_tol(x.r.mirror[0].verdict.capture_loss_pct, 100.0 * 24000 / (300000 + 24000), 1e-6);
    ck_assert_uint_eq(count(&x, "event"), 1);
    v = record(&x, "event", 0);
    ck_assert_str_eq(json_string_value(json_object_get(v, "kind")), "mirror.oversubscribed");
    json_decref(v);
    clean(&x);

    start(&x, 1, 1 << 16, true);
    for (uint64_t i = 0; i < 10; i++)
        if (i < 2)
            give_mirror(&x, T0 + i * 10 * SECOND, 100, 100, 0);
        else {
            struct rec_window_end e = window_end(T0 + i * 10 * SECOND, 200);
            put_message(x.ring[0], &e);
        }
    put_eof(x.ring[0]);
    finish(&x);
    v = record(&x, "event", 0);
    ck_assert_str_eq(json_string_value(json_object_get(v, "kind")), "mirror.silent");
    ck_assert_uint_eq(count(&x, "event"), 1);
    json_decref(v);
    clean(&x);
}
END_TEST

/* One path's part: 7 packets of A, of which 2 were lost behind the tap, 3 of B, one RTT on side A. */
static void give_path(struct run *x, const char *a, const char *b, uint32_t mirror)
{
    uint64_t rtt_ns[] = {2000000};
    struct window_message m = part(path_key(a, b), T0, 7, rtt_ns, 1);

    m.w.key.mirror = mirror;
    m.w.c.dir[1].pkts = 3;
    m.w.c.dir[1].data_pkts = m.w.c.dir[1].judged_pkts = 3;
    m.w.c.dir[0].lost_downstream_pkts = 2;
    put_message(x->ring[0], &m);
}

static json_int_t number(const json_t *record, const char *outer, const char *inner)
{
    return json_integer_value(json_object_get(json_object_get(record, outer), inner));
}

START_TEST(circuits_are_the_sum_of_their_paths)
{
    static char near[] = "10.0.0.0/24", far[] = "10.0.1.0/24", id[][4] = {"C-1", "C-2", "C-3"}, peer[] = "10.0.2.*",
                mirror[] = "m1";
    static const struct config_circuit circuits[] = {{.id = id[0], .site = far},
                                                     {.id = id[1], .site = near, .peer = peer},
                                                     {.id = id[2], .site = near, .mirror = mirror}};
    static const struct {
        const char *id, *lost, *rtt;
        int from_site, to_site, n_lost, n_rtt;
    } want[] = {{"C-1", "tap_to_client", "rtt_server_us", 6, 14, 4, 2},
                {"C-2", "tap_to_server", "rtt_client_us", 7, 3, 2, 1},
                {"C-3", "tap_to_server", "rtt_client_us", 7, 3, 2, 1}};
    struct run x;

    start(&x, 1, 1 << 20, false);
    analytics_join(x.a, &x.r); /* and once more, with circuits */
    x.o.circuits = circuits;
    x.o.n_circuits = 3;
    x.o.n_mirrors = 2;
    ck_assert_int_eq(analytics_start(&x.o, &x.a, NULL), 0);
    give_path(&x, "10.0.0.0", "10.0.1.0", 0); /* C-1 on side B, none on side A */
    give_path(&x, "10.0.0.0", "10.0.2.0", 0); /* C-2 */
    give_path(&x, "10.0.0.0", "10.0.1.0", 1); /* C-1 and C-3 */
    give_path(&x, "10.0.0.0", "10.0.0.0", 1); /* stays within the site */
    struct rec_window_end e = window_end(T0, 10);
    put_message(x.ring[0], &e);
    put_eof(x.ring[0]);
    finish(&x);
    ck_assert_uint_eq(count(&x, "circuit"), 3);
    for (unsigned n = 0; n < 3; n++) {
        json_t *r = record(&x, "circuit", n);
        unsigned i = 0;
        while (strcmp(json_string_value(json_object_get(r, "id")), want[i].id) != 0)
            ck_assert_uint_lt(++i, 3);
        ck_assert_int_eq(number(r, "pkts", "c2s"), want[i].from_site);
        ck_assert_int_eq(number(r, "pkts", "s2c"), want[i].to_site);
        ck_assert_int_eq(number(r, "lost_pkts", want[i].lost), want[i].n_lost);
        ck_assert_int_eq(number(r, want[i].rtt, "n"), want[i].n_rtt);
        json_decref(r);
    }
    clean(&x);
}
END_TEST

START_TEST(vlans_and_tunnels_have_names)
{
    struct rec_scope key[] = {
        {.scope = WINDOW_VLAN, .service = {.port = 120, .proto = 1}},
        {.scope = WINDOW_VLAN, .service = {.named = 21, .port = 100, .proto = 1}},
        {.scope = WINDOW_VLAN, .service = {.port = 0, .proto = 1}},
        {.scope = WINDOW_VLAN},
        {.scope = WINDOW_TUNNEL, .service = {.named = 1, .port = 2, .proto = TUNNEL_VXLAN}},
        {.scope = WINDOW_TUNNEL, .service = {.port = 16, .proto = TUNNEL_MPLS}},
        {.scope = WINDOW_TUNNEL},
    };
    static const char *const names[] = {"120",     "100.20", "0", "(other)", "vxlan/65538 192.0.2.1~192.0.2.9",
                                        "mpls/16", "(other)"};
    struct run x;

    for (unsigned e = 0; e < 2; e++)
        key[4].site[e] = (struct site_id){.af = 4, .prefix_len = 32, .addr = v4(e == 0 ? "192.0.2.1" : "192.0.2.9")};
    start(&x, 1, 1 << 20, false);
    for (unsigned i = 0; i < 7; i++) {
        struct window_message m = part(key[i], T0, 1000 - i, NULL, 0);
        put_message(x.ring[0], &m);
    }
    struct rec_window_end e = window_end(T0, 10);
    put_message(x.ring[0], &e);
    put_eof(x.ring[0]);
    finish(&x);
    for (unsigned i = 0; i < 7; i++) {
        json_t *r = record(&x, i < 4 ? "vlan" : "tunnel", i < 4 ? i : i - 4);
        ck_assert_str_eq(json_string_value(json_object_get(r, "id")), names[i]);
        json_decref(r);
    }
    clean(&x);
}
END_TEST

START_TEST(options_are_checked)
{
    struct run x;
    struct analytics *a = NULL;
    struct error e = {""};

    start(&x, 1, 1 << 16, false);
    struct analytics_options o = x.o;
    o.window_ns = SECOND / 2;
    ck_assert_int_eq(analytics_start(&o, &a, &e), -EINVAL);
    o = x.o;
    o.sensor = "";
    ck_assert_int_eq(analytics_start(&o, &a, &e), -EINVAL);
    o = x.o;
    o.n_mirrors = 0;
    ck_assert_int_eq(analytics_start(&o, &a, &e), -EINVAL);
    o = x.o;
    o.store_url = "unix:/nonexistent/redis.sock";
    ck_assert_int_eq(analytics_start(&o, &a, &e), -ENOENT);
    ck_assert_ptr_nonnull(strstr(e.text, "no Redis at unix:/nonexistent/redis.sock"));
    finish(&x);
    clean(&x);
}
END_TEST

UNIT_MAIN("drain", one_worker_or_two_make_the_same_records, the_nic_is_part_of_the_account,
          malformed_messages_are_counted, verdicts_and_events_about_the_mirror, circuits_are_the_sum_of_their_paths,
          vlans_and_tunnels_have_names, options_are_checked)
