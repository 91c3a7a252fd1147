/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The records: every kind against its schema in docs/schema/, key order, and exact text where the contract gives rules:
 * nulls, microseconds, escapes, Community ID, order of flows. The folder comes as SPANWARD_SCHEMAS, else docs/schema of
 * the working directory.
 */

#include <errno.h>
#include <stdio.h>
#include "analytics/ndjson.h"
#include "common/events.h"
#include "tests/json_schema.h"
#include "tests/unit/messages.h"

static struct site_table *sites;
static struct service_table *services;
static const char *const mirrors[] = {"m0"};
static struct object_names names;
static struct json_text text;

static void set_up(void)
{
    sites = site_table_new();
    site_table_finish(sites);
    services = service_table_new();
    names = (struct object_names){.sites = sites, .services = services, .mirrors = mirrors, .n_mirrors = 1};
}

static void tear_down(void)
{
    site_table_free(sites);
    service_table_free(services);
    json_text_fini(&text);
}

static json_t *schema_of(const char *type)
{
    const char *folder = getenv("SPANWARD_SCHEMAS");
    char path[4200];
    json_error_t e;

    snprintf(path, sizeof(path), "%s/%s.json", folder != NULL ? folder : "docs/schema", type);
    json_t *schema = json_load_file(path, 0, &e);
    ck_assert_msg(schema != NULL, "%s: %s", path, e.text);
    return schema;
}

/* Parses the text just made and compares it with the schema of its type. */
static json_t *checked(void)
{
    char why[300];
    json_error_t e;

    ck_assert(!text.failed);
    ck_assert_ptr_null(strchr(text.text, '\n'));
    ck_assert_int_eq(strncmp(text.text, "{\"type\":\"", 9), 0);
    json_t *v = json_loads(text.text, JSON_REJECT_DUPLICATES, &e);
    ck_assert_msg(v != NULL, "%s in %s", e.text, text.text);
    json_t *schema = schema_of(json_string_value(json_object_get(v, "type")));
    ck_assert_msg(json_schema_check(schema, v, why, sizeof(why)), "%s in %s", why, text.text);
    ck_assert_msg(json_schema_in_order(schema, v), "order of keys in %s", text.text);
    json_decref(schema);
    return v;
}

static const json_t *at(const json_t *v, const char *path)
{
    char part_name[64];

    while (*path != '\0' && v != NULL) {
        size_t len = strcspn(path, ".");
        snprintf(part_name, sizeof(part_name), "%.*s", (int)len, path);
        v = json_is_array(v) ? json_array_get(v, (size_t)atoi(part_name)) : json_object_get(v, part_name);
        path += len + (path[len] == '.');
    }
    ck_assert_msg(v != NULL, "%s", path);
    return v;
}

START_TEST(tcp_flow_record)
{
    struct rec_flow f = tcp_flow("10.0.1.5", "10.0.0.7", 51000, T0);

    f.flags |= RFLOW_HAS_HANDSHAKE_SERVER;
    f.handshake_server_ns = 30107000;
    f.rtt[1] = (struct rec_rtt){.n = 3, .min_ns = 1000, .max_ns = 2500, .sum_ns = 5001};
    f.tcp[0].lost_upstream_pkts = 4;
    f.n_vlans = 2;
    f.vlan[0] = 10;
    f.vlan[1] = 20;
    ndjson_flow(&text, &f, &names);
    json_t *v = checked();
    ck_assert_str_eq(json_string_value(at(v, "community_id")), "1:M/c6NY0V62AoLJLZOiFQgO3CzcU=");
    ck_assert_str_eq(json_string_value(at(v, "path")), "10.0.0.0/24~10.0.1.0/24");
    ck_assert_double_eq_tol(json_number_value(at(v, "tcp.handshake_server_us")), 30107, 1e-9);
    ck_assert(json_is_null(at(v, "tcp.handshake_client_us")));
    ck_assert_ptr_nonnull(
        strstr(text.text, "\"rtt_server_us\":{\"min\":1,\"max\":2.5,\"sum\":5.001,\"n\":3,\"coverage\":1.0}"));
    ck_assert_ptr_nonnull(
        strstr(text.text, "\"rtt_client_us\":{\"min\":null,\"max\":null,\"sum\":0,\"n\":0,\"coverage\":0.0}"));
    ck_assert_ptr_nonnull(strstr(text.text, "\"vlans\":[10,20],\"tunnel\":null,"));
    ck_assert_int_eq(json_integer_value(at(v, "tcp.c2s.lost_upstream_pkts")), 4);
    ck_assert_ptr_null(json_object_get(v, "dns"));
    ck_assert_ptr_null(json_object_get(v, "icmp"));
    json_decref(v);

    f.flags |= RFLOW_ONE_WAY;
    f.tunnel = TUNNEL_VXLAN;
    f.tunnel_id = 100;
    f.tunnel_af = 4;
    f.tunnel_src = v4("192.0.2.1");
    ndjson_flow(&text, &f, &names);
    v = checked();
    ck_assert(json_is_null(at(v, "tcp.c2s.lost_upstream_pkts")));
    ck_assert(json_is_null(at(v, "tcp.s2c.spurious_pkts")));
    ck_assert_int_eq(json_integer_value(at(v, "tcp.s2c.retrans_pkts")), 0);
    ck_assert_str_eq(json_string_value(at(v, "tunnel.src")), "192.0.2.1");
    json_decref(v);
}
END_TEST

START_TEST(dns_icmp_rtp_and_quic_parts)
{
    struct {
        struct rec_flow f;
        struct rec_dns dns[2];
        struct rec_rtp rtp;
    } m = {.f = tcp_flow("10.0.1.5", "10.0.0.53", 5353, T0)};

    m.f.flags = RFLOW_CLIENT_KNOWN | RFLOW_QUIC;
    m.f.proto = 17;
    m.f.quic_version = 1;
    m.f.n_dns = 2;
    m.f.n_rtp = 1;
    m.f.hdr.len_bytes = sizeof(m);
    m.dns[0] = (struct rec_dns){
        .id = 7, .qtype = 1, .rcode = 3, .rtt_ns = 29678000, .flags = RDNS_ANSWERED | RDNS_QUERY_SEEN, .name_len = 9};
    memcpy(m.dns[0].name, "a\"\x1b\\\xff.com", 9);
    m.dns[1] = (struct rec_dns){.id = 8, .qtype = 65280, .retries = 2, .flags = RDNS_QUERY_SEEN};
    m.rtp = (struct rec_rtp){.ssrc = 0xdeadbeef,
                             .dir = 1,
                             .expected = 100,
                             .lost = 2,
                             .jitter_ns = 1234567,
                             .clock_hz = 8000,
                             .mos_centi = 391,
                             .paused = 7};
    ndjson_flow(&text, &m.f, &names);
    json_t *v = checked();
    ck_assert_str_eq(json_string_value(at(v, "dns.0.query")), "a\"\\x1b\\\\\\xff.com");
    ck_assert_str_eq(json_string_value(at(v, "dns.0.rcode")), "NXDOMAIN");
    ck_assert_str_eq(json_string_value(at(v, "dns.1.qtype")), "TYPE65280");
    ck_assert(json_is_null(at(v, "dns.1.rtt_us")) && json_is_null(at(v, "dns.1.rcode")) &&
              json_is_true(at(v, "dns.1.unanswered")));
    ck_assert_double_eq_tol(json_number_value(at(v, "rtp.0.jitter_us")), 1234.567, 1e-9);
    ck_assert_double_eq_tol(json_number_value(at(v, "rtp.0.mos_estimate")), 3.91, 1e-9);
    ck_assert_int_eq(json_integer_value(at(v, "rtp.0.paused")), 7);
    ck_assert_str_eq(json_string_value(at(v, "quic.version")), "1");
    ck_assert(json_is_null(at(v, "quic.handshake_us")));
    ck_assert_ptr_null(json_object_get(v, "tcp"));
    json_decref(v);

    m.f.n_dns = 60000; /* says more than it holds */
    ndjson_flow(&text, &m.f, &names);
    v = checked();
    json_decref(v);

    m.f.n_dns = m.f.n_rtp = 0;
    m.f.flags = RFLOW_ICMP;
    m.f.proto = 1;
    m.f.icmp_unanswered = 3;
    ndjson_flow(&text, &m.f, &names);
    v = checked();
    ck_assert(json_is_null(at(v, "client_port")));
    ck_assert_int_eq(json_integer_value(at(v, "icmp.unanswered")), 3);
    json_decref(v);
}
END_TEST

START_TEST(windows_of_each_scope)
{
    for (unsigned s = 0; s < WINDOW_SCOPE_COUNT; s++) {
        struct window w = {.scope = s, .name = "x"};
        w.c.dir[0] =
            (struct window_dir){.pkts = 10, .bytes = 100, .data_pkts = 5, .judged_pkts = 5, .lost_upstream_pkts = 1};
        w.c.dir[1] = (struct window_dir){.pkts = 3, .data_pkts = 4}; /* seen, but not judged */
        w.c.refused_connects = 1;
        w.c.unanswered_connects = 2;
        w.q[0] = (struct window_quantiles){
            .n = 2, .min_ns = 1000, .p10_ns = 1000, .p50_ns = 1500, .p90_ns = 2000, .p99_ns = 2000, .max_ns = 2000};
        ndjson_window(&text, &w);
        json_t *v = checked();
        bool path = s == WINDOW_PATH;
        ck_assert_int_eq(json_integer_value(at(v, path ? "lost_pkts.a_to_tap" : "lost_pkts.client_to_tap")), 1);
        ck_assert(json_is_null(at(v, path ? "lost_pkts.b_to_tap" : "lost_pkts.server_to_tap")));
        ck_assert(json_is_null(at(v, "spurious_pkts")));
        ck_assert_int_eq(json_integer_value(at(v, "failed_connects")), 3);
        if (s != WINDOW_HOST) {
            ck_assert_double_eq_tol(json_number_value(at(v, path ? "rtt_a_us.p50" : "rtt_client_us.p50")), 1.5, 1e-9);
            ck_assert(json_is_null(at(v, "response_us.p99")));
        }
        json_decref(v);
    }
}
END_TEST

START_TEST(events_ledgers_and_verdicts)
{
    struct rec_event ev = {
        .ts_ns = T0, .kind = EVENT_MIRROR_SILENT, .severity = EVENT_major, .n_kv = 3, .subject = "\x1b]0;x"};
    struct ledger l = {.offered = 10, .processed = 9, .unsupported = 1u << LEDGER_nic_missed};
    struct verdict verdict = {.duplicate_pct = 12.5, .n_notes = 1, .note = {"a note"}};

    strcpy(ev.kv[0].key, "n");
    ev.kv[0].number = -5;
    strcpy(ev.kv[1].key, "t");
    strcpy(ev.kv[1].text, "a\nb");
    memset(ev.kv[2].key, 'k', sizeof(ev.kv[2].key));
    memset(ev.kv[2].text, 't', sizeof(ev.kv[2].text)); /* neither has its end */
    ndjson_event(&text, &ev, &names);
    json_t *v = checked();
    ck_assert_str_eq(json_string_value(at(v, "subject")), "\\x1b]0;x");
    ck_assert_int_eq(json_integer_value(at(v, "detail.n")), -5);
    ck_assert_str_eq(json_string_value(at(v, "detail.t")), "a\\x0ab");
    json_decref(v);

    l.drops[LEDGER_filtered] = 1;
    ndjson_ledger(&text, "m0", &l);
    v = checked();
    ck_assert(json_is_null(at(v, "drops.nic_missed")));
    ck_assert_int_eq(json_integer_value(at(v, "drops.filtered")), 1);
    ck_assert_uint_eq(json_object_size(at(v, "drops")), LEDGER_DROP_COUNT);
    json_decref(v);

    ndjson_verdict(&text, "m0", &verdict);
    v = checked();
    ck_assert(json_is_null(at(v, "both_directions")) && json_is_null(at(v, "capture_loss_pct")));
    ck_assert_double_eq_tol(json_number_value(at(v, "duplicate_pct")), 12.5, 1e-9);
    json_decref(v);
}
END_TEST

START_TEST(flows_come_out_sorted_then_events)
{
    char *out = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);
    struct ndjson n;
    struct rec_event ev = {.ts_ns = 1, .kind = EVENT_MIRROR_SILENT};
    static const struct {
        uint64_t first_ns;
        uint16_t port;
    } flows[] = {{300, 5}, {256, 9}, {255, 7}, {300, 4}, {T0, 1}};

    ck_assert_int_eq(ndjson_init(&n, f, false, 0), 0);
    ndjson_event(&text, &ev, &names);
    ndjson_put_event(&n, &text, &ev);
    for (int i = 0; i < 5; i++) {
        struct rec_flow flow = tcp_flow("10.0.1.5", "10.0.0.7", flows[i].port, flows[i].first_ns);
        ndjson_flow(&text, &flow, &names);
        ndjson_put_flow(&n, &text, &flow);
    }
    ndjson_end_sorted(&n);
    ndjson_end(&n);
    ck_assert_int_eq(n.result, 0);
    fclose(f);
    static const uint16_t want[] = {7, 9, 4, 5, 1};
    char *line = out;
    for (int i = 0; i < 5; i++) {
        char port[32];
        snprintf(port, sizeof(port), "\"client_port\":%u,", want[i]);
        char *end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        ck_assert_msg(strstr(line, port) != NULL, "%s in %s", port, line);
        line = end + 1;
    }
    ck_assert_int_eq(strncmp(line, "{\"type\":\"event\"", 15), 0);
    ck_assert_ptr_null(strchr(strchr(line, '\n') + 1, '\n'));
    ndjson_fini(&n);
    free(out);
}
END_TEST

/* Takes `*room` bytes, then the disk is full. A stream of our own, since /dev/full may be missing in a chroot. */
static ssize_t write_until_full(void *cookie, const char *bytes, size_t n)
{
    size_t *room = cookie;

    (void)bytes;
    if (n > *room) { /* for stdio a short write is the failure */
        n = *room;
        errno = ENOSPC;
    }
    *room -= n;
    return (ssize_t)n;
}

START_TEST(a_full_disk_is_an_error)
{
    size_t room = 100;
    FILE *f = fopencookie(&room, "w", (cookie_io_functions_t){.write = write_until_full});
    struct ndjson n;
    struct rec_flow flow = tcp_flow("10.0.1.5", "10.0.0.7", 1, T0);

    ck_assert_int_eq(ndjson_init(&n, f, false, 0), 0);
    ndjson_flow(&text, &flow, &names);
    ndjson_put_flow(&n, &text, &flow);
    ndjson_end_sorted(&n);
    ndjson_end(&n);
    ck_assert_int_eq(n.result, -ENOSPC);
    ck_assert_str_eq(n.error.text, "cannot write the records: No space left on device");
    ndjson_fini(&n);
    fclose(f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {tcp_flow_record,
                                  dns_icmp_rtp_and_quic_parts,
                                  windows_of_each_scope,
                                  events_ledgers_and_verdicts,
                                  flows_come_out_sorted_then_events,
                                  a_full_disk_is_an_error};
    Suite *suite = suite_create("ndjson");
    TCase *tcase = tcase_create("ndjson");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
