/* SPDX-License-Identifier: BSD-3-Clause */

/* Window streams: there and back, damaged and cut ones; and the promise that a replay in one go, in fifty pieces with
 * restarts, and with kills in the middle ends in the same bytes. The shipped history ends in its one problem. */

#include <sys/wait.h>
#include "control/replay.h"
#include "control/simulate.h"
#include "tests/unit/control_fixture.h"

static void simulate(const char *path, const char *scenario, unsigned weeks, unsigned paths)
{
    struct error e = {""};
    struct simulate_options o = {.weeks = weeks,
                                 .paths = paths,
                                 .seed = 11,
                                 .window_s = 900,
                                 .zone = "UTC",
                                 .scenario = scenario,
                                 .out_path = path};

    ck_assert_msg(simulate_run(&o, &e) == 0, "%s", e.text);
}

static int replay(struct fixture *f, const char *path, uint64_t commit_steps, uint64_t max_steps,
                  struct replay_result *result)
{
    struct stream_reader *r;
    struct error e = {""};
    struct replay_options o = {.commit_steps = commit_steps, .max_steps = max_steps};

    ck_assert_msg(stream_open(path, &r, &e) == 0, "%s", e.text);
    int rc = replay_run(f->c, r, &o, result, &e);
    stream_close(r);
    return rc;
}

static char *state_after_one_go(const char *path)
{
    struct fixture f;
    struct replay_result r;

    fixture_start(&f);
    ck_assert_int_eq(replay(&f, path, 0, 0, &r), 0);
    ck_assert(r.at_end);
    char *dump = dump_store(f.store);
    fixture_stop(&f);
    return dump;
}

/* 50; SPANWARD_RESTARTS=1000 CK_TIMEOUT_MULTIPLIER=20 for the long run. */
static unsigned restarts(void)
{
    const char *text = getenv("SPANWARD_RESTARTS");
    unsigned n = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 0;

    return n > 0 ? n : 50;
}

START_TEST(fifty_pieces_give_the_same_bytes)
{
    struct fixture f;
    struct replay_result r;
    char path[128];
    unsigned pieces = 0;

    fixture_start(&f);
    snprintf(path, sizeof(path), "%s/w", f.dir);
    simulate(path, "full", 8, 34); /* with circuits, changes and maintenance, too */
    char *whole = state_after_one_go(path);
    uint64_t steps = 8 * 7 * 96;
    srand48(1);
    do {
        uint64_t n = 1 + (uint64_t)(drand48() * 2.0 * (double)steps / restarts());
        ck_assert_int_eq(replay(&f, path, 1 + (uint64_t)(drand48() * 60), n, &r), 0);
        fixture_reopen(&f);
        pieces++;
    } while (!r.at_end);
    ck_assert_uint_ge(pieces, restarts() * 6 / 10);
    char *dump = dump_store(f.store);
    ck_assert_uint_gt(strlen(dump), 100000);
    ck_assert(strstr(dump, "PRB-1") != NULL);
    ck_assert(strcmp(whole, dump) == 0);
    free(whole);
    free(dump);
    fixture_stop(&f);
}
END_TEST

/* The same with SIGKILL at any moment, whatever was in flight. */
START_TEST(kills_give_the_same_bytes)
{
    struct fixture f;
    char path[128];
    unsigned kills = 0;

    fixture_start(&f);
    snprintf(path, sizeof(path), "%s/w", f.dir);
    simulate(path, "full", 6, 31);
    char *whole = state_after_one_go(path);
    control_close(f.c);
    f.c = NULL;
    srand48(2);
    for (;;) {
        pid_t child = fork();
        if (child == 0) {
            struct fixture mine = f;
            struct replay_result r;
            mine.store = connect_redis(store_private_url(f.redis));
            fixture_reopen(&mine);
            _exit(replay(&mine, path, 20, 0, &r) == 0 ? 0 : 1);
        }
        ck_assert_int_gt(child, 0);
        int status;
        if (kills < restarts()) {
            usleep((useconds_t)(5000 + drand48() * (restarts() > 50 ? 160000 : 40000)));
            kill(child, SIGKILL);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            ck_assert_int_eq(WEXITSTATUS(status), 0);
            break;
        }
        kills++;
    }
    ck_assert_uint_ge(kills, 3);
    char *dump = dump_store(f.store);
    ck_assert(strcmp(whole, dump) == 0);
    free(whole);
    free(dump);
    fixture_stop(&f);
}
END_TEST

START_TEST(stream_there_and_back)
{
    char path[] = "/tmp/spanward-stream-XXXXXX";
    struct error e = {""};
    struct stream_header h = {.window_s = 60, .zone = "Europe/Berlin"};
    struct observation o = quiet_observation();
    struct stream_reader *r;
    struct stream_record rec;
    char name[WINDOW_NAME_BYTES];
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "wb");

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    o.dir[1].lost_upstream_pkts = 77;
    o.connects = 200000; /* does not fit: scaled together with the failures */
    o.failed_connects = 50000;
    o.quality = WINDOW_UNSURE;
    ck_assert(stream_write_header(f, &h));
    ck_assert(stream_write_name(f, 3, WINDOW_PATH, name));
    ck_assert(stream_write_window(f, 3, WINDOW_PATH, FIXTURE_MONDAY_NS, 9, &o));
    unsigned char unknown[STREAM_RECORD_BYTES] = {200};
    ck_assert_uint_eq(fwrite(unknown, sizeof(unknown), 1, f), 1);
    ck_assert(stream_write_name(f, 4, WINDOW_PATH, "C~D"));
    fclose(f);
    ck_assert_int_eq(stream_open(path, &r, &e), 0);
    ck_assert_str_eq(stream_reader_header(r)->zone, "Europe/Berlin");
    ck_assert_int_eq(stream_read(r, &rec, &e), 1);
    ck_assert_int_eq(rec.kind, STREAM_NAME);
    ck_assert_str_eq(rec.name, name);
    ck_assert_int_eq(stream_read(r, &rec, &e), 1);
    ck_assert_int_eq(rec.kind, STREAM_WINDOW);
    ck_assert_uint_eq(rec.object, 3);
    ck_assert_uint_eq(rec.start_ns, FIXTURE_MONDAY_NS);
    ck_assert_uint_eq(rec.new_flows, 9);
    ck_assert_int_eq(rec.o.quality, WINDOW_UNSURE);
    ck_assert_uint_eq(rec.o.dir[1].lost_upstream_pkts, 77);
    ck_assert_uint_eq(rec.o.rtt_p50_ns[0], 20000000);
    ck_assert_uint_eq(rec.o.dir[0].bytes, 10000000 / 1024 * 1024);
    ck_assert_uint_eq(rec.o.connects, 50000);
    ck_assert_uint_eq(rec.o.failed_connects, 12500);
    ck_assert_int_eq(stream_read(r, &rec, &e), 1); /* over the unknown kind */
    ck_assert_str_eq(rec.name, "C~D");
    ck_assert_int_eq(stream_read(r, &rec, &e), 0);
    stream_close(r);
    unlink(path);
}
END_TEST

START_TEST(bad_streams)
{
    struct fixture f;
    struct replay_result r;
    struct stream_reader *reader;
    struct error e = {""};
    char path[128];

    fixture_start(&f);
    ck_assert_int_eq(stream_open("/nonexistent", &reader, &e), -ENOENT);
    ck_assert_int_eq(stream_open("/dev/null", &reader, &e), -EBADMSG);
    snprintf(path, sizeof(path), "%s/w", f.dir);
    simulate(path, "demo", 1, 1);
    ck_assert_int_eq(truncate(path, 64 * 1000 + 7), 0);
    ck_assert_int_eq(replay(&f, path, 0, 0, &r), -EPIPE);
    /* A header, three names and 996 windows of 3 paths: the last step may be incomplete and is left out. */
    ck_assert_uint_eq(r.steps, 331);
    ck_assert_uint_ne(control_cursor_ns(f.c), 0);
    fixture_stop(&f);

    fixture_start(&f);
    snprintf(path, sizeof(path), "%s/w", f.dir);
    simulate(path, "demo", 1, 1);
    FILE *file = fopen(path, "r+b"); /* time that runs backwards, in the 497th window */
    ck_assert_int_eq(fseek(file, 64 * 500 + 4, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite("\x84\x03\0\0", 4, 1, file), 1);
    fclose(file);
    ck_assert_int_eq(replay(&f, path, 0, 0, &r), -EBADMSG);
    ck_assert_uint_eq(r.steps, 165); /* all complete steps before it, committed */
    fixture_reopen(&f);
    ck_assert_uint_ne(control_cursor_ns(f.c), 0);
    fixture_stop(&f);
}
END_TEST

START_TEST(another_zone_is_refused)
{
    struct fixture f;
    struct error e = {""};
    struct control *c = NULL;

    fixture_start(&f);
    fixture_until(&f, "A~B", f.now_ns + HOUR_NS, 0);
    fixture_commit(&f);
    f.options.zone = "Europe/Berlin";
    ck_assert_int_eq(control_open(&f.options, f.store, &c, &e), -EINVAL);
    ck_assert_ptr_nonnull(strstr(e.text, "time.zone"));
    fixture_stop(&f);
}
END_TEST

START_TEST(shipped_history_has_one_problem)
{
    struct fixture f;
    struct replay_result r;
    struct found found;
    struct error e = {""};

    fixture_start(&f);
    f.options.zone = "Europe/Berlin"; /* the stream's own: 08:00 stays 08:00 when the clocks change */
    if (local_init(f.options.zone, &e) != 0) {
        fprintf(stderr, "skipped: %s\n", e.text);
        fixture_stop(&f);
        return;
    }
    fixture_reopen(&f);
    ck_assert_int_eq(replay(&f, HISTORY_FILE, 0, 0, &r), 0);
    fixture_find(&f, ENTITY_PROBLEM, &found);
    size_t confirmed = 0;
    for (size_t i = 0; i < found.n; i++)
        confirmed += found.u.problem[i].state != PROBLEM_CANDIDATE;
    ck_assert_uint_eq(confirmed, 1);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_str_eq(found.u.problem[0].pattern_text, "every Tuesday 08:00–11:00");
    ck_assert_str_eq(found.u.problem[0].object, "Branch-12~DC");
    ck_assert_int_eq(found.u.problem[0].direction, DIRECTION_B2A);
    ck_assert_uint_eq(found.u.problem[0].lost_upstream_pkts, 0);
    fixture_find(&f, ENTITY_TICKET, &found);
    ck_assert_uint_eq(found.n, 1);
    ck_assert_str_eq(found.u.ticket[0].title,
                     "Branch-12 ↔ DC: loss towards Branch-12, Tuesdays 08:00–11:00, 7 of 8 weeks");
    fixture_find(&f, ENTITY_INCIDENT, &found);
    ck_assert_uint_eq(found.n, 12); /* 7 Tuesdays and the 5 one-offs of the truth file */
    fixture_stop(&f);
}
END_TEST

UNIT_MAIN("replay", stream_there_and_back, bad_streams, another_zone_is_refused, shipped_history_has_one_problem,
          fifty_pieces_give_the_same_bytes, kills_give_the_same_bytes)
