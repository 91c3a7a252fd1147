/* SPDX-License-Identifier: BSD-3-Clause */

/* The commands that look into Redis, on a private server that the test fills through the store's own writers. */

#include "tests/unit/cli_run.h"

#include <sys/stat.h>
#include <time.h>
#include "apps/cli/rows.h"
#include "common/timefmt.h"
#include "store/entities.h"
#include "store/schema.h"
#include "store/store.h"
#include "tests/unit/private_redis.h"

static struct store_private *redis;
static char dir[64], option[160];

#define T0 (1700000040 * NS_PER_S) /* a full minute */

static void put_path(struct store *s, const char *name, enum window_quality quality, uint64_t lost_upstream)
{
    struct window w = {.scope = WINDOW_PATH, .quality = quality, .start_ns = T0, .length_ns = 60 * NS_PER_S};

    snprintf(w.name, sizeof(w.name), "%s", name);
    w.c.dir[0].pkts = w.c.dir[1].pkts = 5000;
    w.c.dir[0].data_pkts = w.c.dir[0].judged_pkts = 1000;
    w.c.dir[1].data_pkts = w.c.dir[1].judged_pkts = 1000;
    w.c.dir[1].lost_upstream_pkts = lost_upstream;
    w.q[WINDOW_HIST_RTT_A] = (struct window_quantiles){10, 1000000, 1000000, 2000000, 3000000, 4000000, 5000000};
    ck_assert_int_eq(schema_put_window(s, "s1", SCHEMA_1MIN, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s1", WINDOW_PATH, name, T0), 0);
}

static void put_service(struct store *s, const char *name, uint64_t judged)
{
    struct window w = {.scope = WINDOW_SERVICE, .start_ns = T0, .length_ns = 60 * NS_PER_S};

    snprintf(w.name, sizeof(w.name), "%s", name);
    w.c.refused_connects = 3;
    w.c.unanswered_connects = 4;
    w.c.dir[0].pkts = 10;
    for (int d = 0; d < 2; d++) {
        w.c.dir[d].data_pkts = 100;
        w.c.dir[d].judged_pkts = judged;
        w.c.dir[d].lost_upstream_pkts = judged ? 5 : 0;
    }
    ck_assert_int_eq(schema_put_window(s, "s1", SCHEMA_1MIN, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s1", WINDOW_SERVICE, name, T0), 0);
}

static void put_telemetry(struct store *s)
{
    struct schema_sensor sensor = {.name = "s1",
                                   .version = "0.1.0",
                                   .window_ns = 10 * NS_PER_S,
                                   .stopped = true,
                                   .data_ns = T0 + 70 * NS_PER_S,
                                   .n_mirrors = 1,
                                   .flows = 3,
                                   .mirror = {"cap.pcap"}};
    struct ledger ledger = {.offered = 100, .processed = 90, .unsupported = 1u << LEDGER_nic_missed};
    struct schema_event ev = {.ts_ns = T0,
                              .kind = EVENT_MIRROR_ONE_WAY,
                              .severity = EVENT_major,
                              .kind_name = "mirror.one_way",
                              .mirror = "cap.pcap",
                              .subject = "evil\033[31m",
                              .detail = "{\"share\":1}"};
    struct schema_id last = {0};
    struct schema_outcome outcome;
    char flow[2048];

    ledger.drops[LEDGER_decode_short] = 10;
    for (int t = 0; t < SCHEMA_TIER_COUNT; t++)
        sensor.latest_start_ns[t] = UINT64_MAX;
    sensor.latest_start_ns[SCHEMA_1MIN] = T0;
    flow_line(flow, sizeof(flow), "10.0.0.9", 51000, 1);
    struct schema_flow top[] = {{.score = 11, .json = flow}};
    schema_id_format(ev.id, schema_id_next(&last, T0));
    ck_assert_int_eq(schema_put_sensor(s, &sensor), 0);
    ck_assert_int_eq(schema_put_ledger(s, "s1", "cap.pcap", &ledger), 0);
    ck_assert_int_eq(
        schema_put_verdict(s, "s1", "cap.pcap",
                           "{\"type\":\"verdict\",\"mirror\":\"cap.pcap\",\"both_directions\":true,"
                           "\"duplicate_pct\":2.5,\"truncated\":false,\"capture_loss_pct\":0.0,\"notes\":[]}"),
        0);
    ck_assert_int_eq(schema_put_event(s, "s1", &ev), 0);
    ck_assert_int_eq(
        schema_put_top(s, "s1", SCHEMA_TOP_LOSS, SCHEMA_1H, T0 / (3600 * NS_PER_S) * 3600 * NS_PER_S, top, 1), 0);
    put_path(s, "clean~hq", WINDOW_OK, 0);
    put_path(s, "branch~hq", WINDOW_UNSURE, 25);
    put_service(s, "https", 100);
    put_service(s, "one\377way", 0); /* no UTF-8 */
    ck_assert_int_eq(schema_flush(s, &outcome), 0);
    ck_assert_uint_eq(outcome.refused, 0);
}

static void put_entities(struct store *s)
{
    struct entity_problem p = {.id = "PRB-1",
                               .object = "branch~hq",
                               .state = PROBLEM_CONFIRMED,
                               .fault = FAULT_LOSS,
                               .direction = DIRECTION_B2A,
                               .value = 0.041,
                               .baseline = 0.0001,
                               .occurrences = 5,
                               .exposures = 6,
                               .p_value = 0.0004,
                               .pattern_text = "every Tuesday 08:00-11:00",
                               .ticket = "TKT-1"};
    struct entity_incident i = {.id = "INC-7",
                                .object = "branch~hq",
                                .state = INCIDENT_OPEN,
                                .onset_ns = T0,
                                .end_ns = T0 + 600 * NS_PER_S,
                                .fault = FAULT_LATENCY,
                                .direction = DIRECTION_SIDE_B,
                                .value = 250e6};
    struct entity_ticket t = {.id = "TKT-1",
                              .title = "Loss on branch~hq",
                              .body = "first line\nsecond line",
                              .dry_run = 1,
                              .version = 3,
                              .problem = "PRB-1"};
    struct entity_batch *b = entity_batch_new(s);
    struct error e = {""};

    entity_batch_put(b, ENTITY_PROBLEM, &p);
    entity_batch_put(b, ENTITY_INCIDENT, &i);
    entity_batch_put(b, ENTITY_TICKET, &t);
    ck_assert_msg(entity_batch_commit(b, &e) == 0, "%s", e.text);
}

static void fill_redis(bool with_data)
{
    make_temporary_dir(dir);
    redis = start_redis(dir);
    snprintf(option, sizeof(option), "--redis %s", store_private_url(redis));
    if (!with_data)
        return;
    struct store *s = connect_redis(store_private_url(redis));
    put_telemetry(s);
    put_entities(s);
    store_close(s);
}

static void drop_redis(void)
{
    store_private_stop(redis);
    remove_dir(dir);
}

static int with_redis(const char *line)
{
    char full[640];

    snprintf(full, sizeof(full), "%s %s", line, option);
    return spanward(full);
}

START_TEST(an_empty_redis)
{
    static const char *const want_sensor[] = {"status", "sensors", "paths", "services", "flows", "events"};
    static const char *const want_none[] = {"incidents", "problems", "tickets"};
    char file[128], command[160];

    fill_redis(false);
    snprintf(file, sizeof(file), "%s/empty", dir);
    snprintf(command, sizeof(command), "backup %s", file);
    ck_assert_int_eq(with_redis(command), CLI_ERROR); /* nothing is no backup, and must not take the place of one */
    expect_one_line("nothing was written");
    ck_assert_int_ne(access(file, F_OK), 0);
    for (size_t i = 0; i < sizeof(want_sensor) / sizeof(want_sensor[0]); i++) {
        ck_assert_int_eq(with_redis(want_sensor[i]), CLI_ERROR);
        expect_one_line("no sensor has written to this Redis yet");
    }
    for (size_t i = 0; i < sizeof(want_none) / sizeof(want_none[0]); i++) {
        ck_assert_int_eq(with_redis(want_none[i]), CLI_OK);
        expect_one_line("No ");
    }
    drop_redis();
}
END_TEST

/* Every command's --json is one object per line; --plain has as many fields in each line as in the header. */
static void check_machine_formats(const char *command)
{
    char line[128];
    size_t tabs = 0, seen = 0;

    snprintf(line, sizeof(line), "%s --json", command);
    ck_assert_msg(with_redis(line) == 0, "%s: %s", line, err);
    ck_assert_str_ne(out, "");
    for (char *save, *l = strtok_r(out, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
        json_t *row = json_loads(l, 0, NULL);
        ck_assert_msg(json_is_object(row), "%s: %s", line, l);
        json_decref(row);
    }
    snprintf(line, sizeof(line), "%s --plain", command);
    ck_assert_int_eq(with_redis(line), 0);
    for (char *save, *l = strtok_r(out, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save), seen++) {
        size_t n = 0;
        for (const char *p = l; *p != '\0'; p++)
            n += *p == '\t';
        if (seen == 0)
            tabs = n;
        ck_assert_msg(n == tabs, "%s: %s", line, l);
    }
    ck_assert_uint_ge(seen, 2);
    ck_assert_ptr_null(strchr(out, '\033'));
}

START_TEST(what_is_in_redis)
{
    static const char *const commands[] = {"status", "sensors",   "paths",    "flows",
                                           "events", "incidents", "problems", "tickets"};

    fill_redis(true);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        check_machine_formats(commands[i]);
    ck_assert_int_eq(with_redis("status --utc"), 0);
    expect_in(out, "s1      cap.pcap  done   2023-11-14 22:15:10Z");
    expect_in(out, "100 packets offered = 90 processed + 10 dropped (decode_short 10)");
    expect_in(out, "branch~hq");
    expect_in(out, "1 incidents open,  1 problems unsolved,  1 tickets open");
    ck_assert_int_eq(with_redis("status --json"), 0);
    expect_in(out, "\"nic_missed\":null"); /* what the driver cannot tell is null, not 0 */
    drop_redis();
}
END_TEST

START_TEST(windows_leave_as_lines_or_csv)
{
    fill_redis(true);
    ck_assert_int_eq(with_redis("export --since 1d --format csv"), 0);
    char *save, *head = strtok_r(out, "\n", &save), *first = strtok_r(NULL, "\n", &save);
    size_t commas = 0, of_head = 0;
    expect_in(head, "sensor,scope,object,tier,start_ns,length_ns,quality,missing_pct,a2b_pkts,a2b_bytes");
    expect_in(head, "rtt_a_us_n,rtt_a_us_min,rtt_a_us_p10");
    expect_in(first, "s1,path,branch~hq,1min,1700000040000000000,60000000000,unsure,0,5000,");
    expect_in(
        first,
        ",10,999.936,1007.616,2015.232,2981.888,4030.464,5001.216,0,,,,,,,0,"); /* as stored: to 2^-11 and a bucket */
    for (const char *p = head; *p != '\0'; p++)
        of_head += *p == ',';
    for (const char *p = first; *p != '\0'; p++)
        commas += *p == ',';
    ck_assert_uint_eq(commas, of_head);
    ck_assert_ptr_nonnull(strtok_r(NULL, "\n", &save));
    ck_assert_ptr_null(strtok_r(NULL, "\n", &save));

    ck_assert_int_eq(with_redis("export --scope service --since 2023-11-14T22:14Z --until @1700000041"), 0);
    unsigned n = 0;
    for (char *l = strtok_r(out, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save), n++) {
        json_t *row = json_loads(l, 0, NULL);
        ck_assert_msg(json_is_object(row), "%s", l);
        ck_assert_int_eq(json_integer_value(json_object_get(row, "refused_connects")), 3);
        bool known = strcmp(json_string_value(json_object_get(row, "object")), "https") == 0;
        ck_assert_int_eq(json_is_null(json_object_get(row, "c2s_lost_upstream_pkts")), !known);
        ck_assert(json_is_null(json_object_get(row, "rtt_client_us_p50")));
        json_decref(row);
    }
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(with_redis("export --since 2023-11-14T22:14Z --until 1700000040"), CLI_USAGE);
    expect_one_line("--until wants a duration such as 2h");
    ck_assert_int_eq(with_redis("export --until @1700000040"), 0);
    expect_one_line("No windows in that time.");
    ck_assert_int_eq(with_redis("export --scope circle"), CLI_USAGE);
    expect_one_line("--scope is one of mirror, path, service, host, circuit, vlan, tunnel, not 'circle'");
    drop_redis();
}
END_TEST

/* Changes one byte of a file in which `what` begins. */
static void damage(const char *path, const char *what, char by)
{
    FILE *f = fopen(path, "r+");
    char *text = calloc(1, 1 << 20);

    ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, f), 0);
    char *at = strstr(text, what);
    ck_assert_ptr_nonnull(at);
    fseek(f, at - text, SEEK_SET);
    fputc(by, f);
    fclose(f);
    free(text);
}

static void copy_file(const char *from, const char *to)
{
    char line[600];

    snprintf(line, sizeof(line), "cp '%s' '%s'", from, to);
    ck_assert_int_eq(system(line), 0);
}

static void refuses(const char *file, const char *reason)
{
    char line[400];

    snprintf(line, sizeof(line), "restore %s --replace", file);
    ck_assert_int_eq(with_redis(line), CLI_ERROR);
    expect_one_line(reason);
    expect_in(err, "nothing was changed");
    ck_assert_int_eq(with_redis("problems --json"), 0);
    expect_in(out, "\"PRB-1\"");
}

START_TEST(state_is_backed_up_and_restored)
{
    char line[400], file[128], bad[128];

    fill_redis(true);
    snprintf(file, sizeof(file), "%s/control.backup", dir);
    snprintf(bad, sizeof(bad), "%s/bad.backup", dir);
    struct store *s = connect_redis(store_private_url(redis));
    store_reply_free(store_command(s, "HSET %s %s %b", "sw1:{ctl}:bins:a", "3",
                                   "\x00\xff\x80"
                                   "a",
                                   (size_t)4));
    store_reply_free(store_command(s, "XADD %s * verb x", "sw1:{ctl}:inbox"));
    snprintf(line, sizeof(line), "backup %s", file);
    ck_assert_int_eq(with_redis(line), 0);
    expect_in(err, "4 entries");
    struct stat st;
    ck_assert(stat(file, &st) == 0 && (st.st_mode & 0777) == 0600);

    /* not over what is there, unless asked to; and not when it does not fit */
    snprintf(line, sizeof(line), "restore %s", file);
    ck_assert_int_eq(with_redis(line), CLI_ERROR);
    expect_one_line("--replace puts the backup in its place; nothing was changed");
    copy_file(file, bad);
    damage(bad, "PRB-1", 'Q');
    refuses(bad, "its checksum is wrong");
    copy_file(file, bad);
    damage(bad, "1,\"created", '7');
    refuses(bad, "the backup is of version 7, this program reads version 1");
    copy_file(file, bad);
    ck_assert_int_eq(truncate(bad, st.st_size - 70), 0);
    refuses(bad, "line ");
    ck_assert_int_eq(truncate(bad, 0), 0);
    refuses(bad, "this is no backup of spanward");
    ck_assert_int_eq(with_redis("restore /nonexistent/x --replace"), CLI_ERROR);
    expect_one_line("cannot read /nonexistent/x: No such file or directory");
    /* everything comes back, and what was new since is gone */
    store_reply_free(store_command(s, "DEL %s %s", "sw1:{ctl}:problem", "sw1:{ctl}:bins:a"));
    store_reply_free(store_command(s, "HSET %s 1 2", "sw1:{ctl}:history"));
    snprintf(line, sizeof(line), "restore %s --replace", file);
    ck_assert_msg(with_redis(line) == 0, "%s", err);
    ck_assert_int_eq(with_redis("problems --json"), 0);
    expect_in(out, "\"PRB-1\"");
    struct store_reply *r = store_command(s, "HGET %s 3", "sw1:{ctl}:bins:a");
    size_t len = 0;
    ck_assert_mem_eq(store_reply_string(r, &len),
                     "\x00\xff\x80"
                     "a",
                     4);
    ck_assert_uint_eq(len, 4);
    store_reply_free(r);
    r = store_command(s, "EXISTS %s", "sw1:{ctl}:history");
    ck_assert_int_eq(store_reply_integer(r), 0);
    store_reply_free(r);
    r = store_command(s, "XLEN %s", "sw1:{ctl}:inbox"); /* on its way, no state */
    ck_assert_int_eq(store_reply_integer(r), 1);
    store_reply_free(r);
    /* into an empty one without being asked */
    store_reply_free(store_command(s, "FLUSHALL"));
    snprintf(line, sizeof(line), "restore %s", file);
    ck_assert_int_eq(with_redis(line), 0);
    store_close(s);
    drop_redis();
}
END_TEST

START_TEST(the_organisation_at_a_glance)
{
    struct schema_outcome outcome;

    fill_redis(true);
    struct store *s = connect_redis(store_private_url(redis));
    struct window w = {.scope = WINDOW_MIRROR, .name = "m", .start_ns = T0, .length_ns = 10 * NS_PER_S};
    w.c.dir[0].frame_bytes = 125000000;
    struct schema_sensor sensor = {.name = "s2",
                                   .version = "0.1.0",
                                   .live = true,
                                   .window_ns = 10 * NS_PER_S,
                                   .heartbeat_wall_ns = (uint64_t)time(NULL) * NS_PER_S,
                                   .data_ns = T0,
                                   .n_mirrors = 1,
                                   .spool_items = 12345,
                                   .fragments_evicted = 2,
                                   .fragments_unmatched = 3,
                                   .mirror = {"m"}};
    for (int t = 0; t < SCHEMA_TIER_COUNT; t++)
        sensor.latest_start_ns[t] = UINT64_MAX;
    sensor.latest_start_ns[SCHEMA_BASE] = T0;
    ck_assert_int_eq(schema_put_sensor(s, &sensor), 0);
    ck_assert_int_eq(schema_put_window(s, "s2", SCHEMA_BASE, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s2", WINDOW_MIRROR, "m", T0), 0);
    w.scope = WINDOW_VLAN;
    snprintf(w.name, sizeof(w.name), "100.20");
    w.c.peak_1ms_bytes = 125000;
    ck_assert_int_eq(schema_put_window(s, "s2", SCHEMA_BASE, 10 * NS_PER_S, &w), 0);
    ck_assert_int_eq(schema_put_object(s, "s2", WINDOW_VLAN, "100.20", T0), 0);
    ck_assert_int_eq(schema_flush(s, &outcome), 0);
    store_close(s);
    ck_assert_int_eq(with_redis("sensors --columns sensor,state,rate,waiting,fragments"), 0);
    expect_in(out, "2 sensors: 1 live, 1 done; 100 Mbit/s on 0 paths");
    expect_in(out, "12 345");
    check_machine_formats("sensors");
    check_machine_formats("vlans");
    ck_assert_int_eq(with_redis("vlans"), 0);
    expect_in(out, "100.20");
    expect_in(out, "100 Mbit/s");
    expect_in(out, "1 Gbit/s");
    ck_assert_int_eq(with_redis("tunnels"), 0);
    expect_one_line("No tunnel in the newest window.");
    drop_redis();
}
END_TEST

START_TEST(paths_worst_first)
{
    fill_redis(true);
    ck_assert_int_eq(with_redis("paths"), 0);
    ck_assert(strstr(out, "branch~hq") < strstr(out, "clean~hq"));
    expect_in(out, "2.5 %");
    expect_in(out, "unsure");
    ck_assert_int_eq(with_redis("paths --sort path --limit 1 --columns path,b-tap --plain"), 0);
    ck_assert_str_eq(out, "path\tb-tap\nbranch~hq\t2.5\n");
    ck_assert_int_eq(with_redis("paths clean~hq --utc"), 0);
    expect_in(out, "2023-11-14 22:14:00Z");
    ck_assert_ptr_null(strstr(out, "branch"));
    ck_assert_int_eq(with_redis("paths no~where"), CLI_ERROR);
    expect_one_line("no windows of this path in that time; see: spanward paths");
    ck_assert_int_eq(with_redis("paths no~where --json"), CLI_ERROR);
    ck_assert_int_eq(with_redis("paths --tier week"), CLI_USAGE);
    expect_one_line("--tier is one of");
    ck_assert_int_eq(with_redis("paths clean~hq --since soon"), CLI_USAGE);
    expect_one_line("--since wants a duration");
    ck_assert_int_eq(with_redis("paths --sensor s2"), CLI_ERROR);
    expect_one_line("no sensor named 's2'");
    drop_redis();
}
END_TEST

START_TEST(flows_events_entities)
{
    fill_redis(true);
    ck_assert_int_eq(with_redis("services --columns name,failed,lost-client,lost-server --plain"), 0);
    ck_assert_str_eq(out, "name\tfailed\tlost-client\tlost-server\nhttps\t7\t5\t5\none\\xffway\t7\t-\t-\n");
    ck_assert_int_eq(with_redis("flows"), 0);
    expect_in(out, "10.0.0.9:51000");
    expect_in(out, "11 %");
    ck_assert_int_eq(with_redis("events"), 0);
    expect_in(out, "mirror.one_way");
    expect_in(out, "evil\\x1b[31m");
    ck_assert_int_eq(with_redis("incidents"), 0);
    expect_in(out, "latency side_b  250 ms");
    expect_in(out, "10 min");
    ck_assert_int_eq(with_redis("incidents --state closed"), 0);
    expect_one_line("No incidents");
    ck_assert_int_eq(with_redis("problems"), 0);
    expect_in(out, "every Tuesday 08:00-11:00");
    expect_in(out, "loss b2a  4.1 %  0.01 %");
    expect_in(out, "5 of 6");
    ck_assert_int_eq(with_redis("tickets"), 0);
    expect_in(out, "dry run");
    ck_assert_int_eq(with_redis("tickets TKT-1"), 0);
    expect_in(out, "first line\n");
    expect_in(out, " second line\n");
    ck_assert_int_eq(with_redis("tickets TKT-2"), CLI_ERROR);
    expect_one_line("there is no 'TKT-2'");
    drop_redis();
}
END_TEST

/* The order of places: option before environment before the private server's socket. */
START_TEST(where_redis_is)
{
    char saved[160];

    fill_redis(true);
    snprintf(saved, sizeof(saved), "%s", option + strlen("--redis "));
    setenv("SPANWARD_REDIS", saved, 1);
    ck_assert_int_eq(spanward("sensors"), 0);
    ck_assert_int_eq(spanward("sensors --redis unix:/nonexistent/r.sock"), CLI_ERROR);
    unsetenv("SPANWARD_REDIS");
    char path[] = "/tmp/spanward-test-XXXXXX.yaml", line[128];
    int fd = mkstemps(path, 5);
    ck_assert_int_gt(dprintf(fd, "sensor:\n  state_dir: %s\n", dir), 0);
    close(fd);
    snprintf(line, sizeof(line), "sensors --config %s", path);
    int code = spanward(line);
    unlink(path);
    ck_assert_msg(code == 0, "%s", err);
    drop_redis();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {an_empty_redis,
                                  what_is_in_redis,
                                  windows_leave_as_lines_or_csv,
                                  state_is_backed_up_and_restored,
                                  the_organisation_at_a_glance,
                                  paths_worst_first,
                                  flows_events_entities,
                                  where_redis_is};

    need_redis();
    return cli_run_tests("cli_redis", tests, sizeof(tests) / sizeof(tests[0]));
}
