/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward status and spanward sensors: is anybody looking, can what they see be believed, and what is wrong now.
 *
 * status has one row per mirror. For people it goes on with what an engineer asks next: the verdicts' notes, the drops,
 * the worst paths of the newest minute and the faults that are open.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "apps/cli/entity_rows.h"
#include "apps/cli/report.h"
#include "apps/cli/rows.h"
#include "apps/cli/source.h"
#include "apps/cli/window_rows.h"
#include "common/counters.h"
#include "common/timefmt.h"

#define EX        COLUMN_EXTRA
#define TOP_PATHS 5u

static const struct column status_columns[] = {
    {"sensor", "SENSOR", "sensor", COLUMN_TEXT, 0, "name of the sensor"},
    {"mirror", "MIRROR", "mirror", COLUMN_NAME, 0, "the captured port or file"},
    {"state", "STATE", "state", COLUMN_STATE, 0, "live, reading, stale, done (file) or stopped"},
    {"data", "NEWEST DATA", "data_ns", COLUMN_TIME, 3, "time of the newest packet"},
    {"rate", "RATE", "rate_bits_per_s", COLUMN_RATE, 2, "in the newest window"},
    {"offered", "OFFERED", "ledger.offered", COLUMN_COUNT, 0, "packets since the sensor started"},
    {"dropped", "DROPPED", "dropped_pct", COLUMN_LOSS, 0, "share that was not analysed, copies included"},
    {"directions", "BOTH DIR", "verdict.both_directions", COLUMN_YESNO, 4, "does the mirror show both directions?"},
    {"copies", "COPIES", "verdict.duplicate_pct", COLUMN_PERCENT, 6, "packets that came twice"},
    {"gaps", "UNSEEN", "verdict.capture_loss_pct", COLUMN_LOSS, 5, "capture loss: what the mirror missed"},
    {"lag", "LAG", "lag_ns", COLUMN_DURATION, EX, "from the end of a window to its being stored"},
    {"wrong-worker", "WRONG WORKER", "wrong_worker", COLUMN_COUNT, EX,
     "of the sensor: packets that came by another worker's queue than their flow's"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static const struct column sensor_columns[] = {
    {"sensor", "SENSOR", "sensor", COLUMN_TEXT, 0, "name of the sensor"},
    {"state", "STATE", "state", COLUMN_STATE, 0, "live, reading, stale, done (file) or stopped"},
    {"version", "VERSION", "version", COLUMN_TEXT, 5, "of spanward-probe"},
    {"started", "STARTED", "start_wall_ns", COLUMN_TIME, 6, "when it was started"},
    {"heartbeat", "HEARD", "heartbeat_age_ns", COLUMN_DURATION, 0, "time since its last sign of life"},
    {"data", "NEWEST DATA", "data_ns", COLUMN_TIME, 0, "time of the newest packet"},
    {"lag", "LAG", "lag_ns", COLUMN_DURATION, 4, "from the end of a window to its being stored"},
    {"workers", "WORKERS", "workers", COLUMN_COUNT, 7, "worker cores"},
    {"flows", "FLOWS", "flows", COLUMN_COUNT, 3, "finished flows"},
    {"windows", "WINDOWS", "windows_closed", COLUMN_COUNT, 8, "closed windows"},
    {"rate", "RATE", "rate_bits_per_s", COLUMN_RATE, 1, "of all its mirrors, in the newest window"},
    {"paths", "PATHS", "paths", COLUMN_COUNT, 2, "paths in the newest window"},
    {"mirrors", "MIRRORS", "n_mirrors", COLUMN_COUNT, 6, "captured ports or files"},
    {"waiting", "WAITING", "spool_items", COLUMN_COUNT, 2, "items that wait for Redis, in memory and on disk"},
    {"lost", "LOST", "spool_dropped", COLUMN_COUNT, 2, "items lost while Redis was away"},
    {"spool", "SPOOL", "spool_bytes", COLUMN_BYTES, EX, "waiting for Redis, in memory"},
    {"spool-disk", "SPOOL DISK", "spool_disk_bytes", COLUMN_BYTES, EX, "waiting for Redis, on disk"},
    {"spool-dropped", "SPOOL DROPS", "spool_dropped", COLUMN_COUNT, EX, "items lost while Redis was away"},
    {"late", "LATE", "windows_late", COLUMN_COUNT, EX, "workers' parts that came too late for their window"},
    {"flows-active", "ACTIVE", "flows_active", COLUMN_COUNT, EX, "flows in its table now"},
    {"flows-evicted", "EVICTED", "flows_evicted", COLUMN_COUNT, EX, "flows cut short because the table was full"},
    {"fragments", "FRAG TROUBLE", "cut_short", COLUMN_COUNT, EX,
     "fragments without their first, malformed or forgotten"},
    {"ring-dropped", "RING DROPS", "ring_dropped", COLUMN_COUNT, EX, "records lost between worker and analytics"},
    {"wrong-worker", "WRONG WORKER", "wrong_worker", COLUMN_COUNT, EX,
     "packets that came by another worker's queue than their flow's"},
    {"reconnects", "RECONNECTS", "reconnects", COLUMN_COUNT, EX, "times that Redis came back"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static json_t *ns(uint64_t v)
{
    return v > 0 ? json_integer((json_int_t)v) : json_null();
}

static json_t *sensor_row(const struct schema_sensor *s)
{
    uint64_t now = wall_now_ns();
    json_t *row = json_object(), *mirrors = json_array();

    for (uint32_t i = 0; i < s->n_mirrors; i++)
        json_array_append_new(mirrors, row_text(s->mirror[i], SIZE_MAX));
    json_object_set_new(row, "type", json_string("sensor"));
    json_object_set_new(row, "sensor", row_text(s->name, SIZE_MAX));
    json_object_set_new(row, "state", json_string(sensor_state(s, now)));
    json_object_set_new(row, "version", row_text(s->version, SIZE_MAX));
#define X(field, unit, text) json_object_set_new(row, #field, json_integer((json_int_t)s->field));
    SCHEMA_SENSOR_NUMBERS(X)
#undef X
    json_object_set_new(row, "workers", json_integer((json_int_t)s->n_workers));
    json_object_set_new(row, "mirrors", mirrors);
    json_object_set_new(row, "heartbeat_age_ns",
                        json_integer((json_int_t)(now > s->heartbeat_wall_ns ? now - s->heartbeat_wall_ns : 0)));
    json_object_set_new(row, "data_ns", ns(s->data_ns)); /* unknown rather than 0 */
    json_object_set_new(row, "start_wall_ns", ns(s->start_wall_ns));
    json_object_set_new(row, "lag_ns", s->live ? json_integer((json_int_t)s->lag_ns) : json_null());
    json_object_set_new(
        row, "cut_short",
        json_integer((json_int_t)(s->fragments_unmatched + s->fragments_malformed + s->fragments_evicted)));
    return row;
}

/* What a sensor shows now; null where it has shown nothing yet. */
static void add_traffic(struct source *source, const struct schema_sensor *s, json_t *row)
{
    struct window *windows = NULL;
    struct schema_list paths = {0};
    json_t *rate = json_null(), *n_paths = json_null();
    struct error e;
    double bits = 0;
    size_t n = 0;

    if (s->latest_start_ns[SCHEMA_BASE] != UINT64_MAX &&
        schema_window_latest(source->store, s, WINDOW_MIRROR, SCHEMA_BASE, &windows, &n, &source->skipped, &e) == 0) {
        for (size_t i = 0; i < n; i++)
            bits += 8e9 * (double)(windows[i].c.dir[0].frame_bytes + windows[i].c.dir[1].frame_bytes) /
                    (double)windows[i].length_ns;
        json_decref(rate);
        rate = json_real(bits);
        free(windows);
    }
    if (s->latest_start_ns[SCHEMA_BASE] != UINT64_MAX &&
        schema_object_list(source->store, s->name, WINDOW_PATH, s->latest_start_ns[SCHEMA_BASE], &paths, &e) == 0) {
        json_decref(n_paths);
        n_paths = json_integer((json_int_t)paths.n);
        schema_list_free(&paths);
    }
    json_object_set_new(row, "rate_bits_per_s", rate);
    json_object_set_new(row, "paths", n_paths);
    json_object_set_new(row, "n_mirrors", json_integer(s->n_mirrors));
}

/* "3 sensors: 2 live, 1 stale; 1.2 Gbit/s on 4 paths", the organisation in a line. */
static void print_sum(const json_t *rows)
{
    static const char *const states[] = {"live", "reading", "stale", "stopped", "done"};
    unsigned of_state[5] = {0};
    double bits = 0;
    json_int_t n_paths = 0;
    char text[64];
    size_t i;
    json_t *row;

    json_array_foreach((json_t *)rows, i, row)
    {
        for (unsigned k = 0; k < 5; k++)
            of_state[k] += strcmp(json_string_value(json_object_get(row, "state")), states[k]) == 0;
        bits += json_number_value(json_object_get(row, "rate_bits_per_s"));
        n_paths += json_integer_value(json_object_get(row, "paths"));
    }
    printf("\n%zu sensor%s:", json_array_size(rows), json_array_size(rows) == 1 ? "" : "s");
    const char *comma = " ";
    for (unsigned k = 0; k < 5; k++) {
        if (of_state[k] == 0)
            continue;
        printf("%s%u %s", comma, of_state[k], states[k]);
        comma = ", ";
    }
    printf("; %s", format_rate_bits(text, sizeof(text), bits));
    printf(" on %s path%s\n", format_count(text, sizeof(text), (uint64_t)n_paths), n_paths == 1 ? "" : "s");
}

static int run_sensors(struct cli *cli)
{
    struct source source;
    json_t *rows = json_array();
    int code = source_open(cli, SOURCE_SENSORS, &source);

    if (code != CLI_OK) {
        json_decref(rows);
        return code;
    }
    for (size_t i = 0; i < source.n_sensors; i++) {
        json_t *row = sensor_row(&source.sensor[i]);
        add_traffic(&source, &source.sensor[i], row);
        json_array_append_new(rows, row);
    }
    source_warn_skipped(cli, &source);
    source_close(&source);
    code = cli_rows(cli, json_incref(rows), "No sensors.");
    if (code == CLI_OK && cli->view.mode == TABLE_HUMAN)
        print_sum(rows);
    json_decref(rows);
    return code != CLI_OK ? code : cli_flush(cli);
}

/* ---- status ---- */

static json_t *ledger_record(const char *mirror, const struct ledger *l)
{
    json_t *drops = json_object();

    for (int d = 0; d < LEDGER_DROP_COUNT; d++) {
        bool unknown = (l->unsupported >> d & 1) != 0;
        json_object_set_new(drops, ledger_drop_name((enum ledger_drop)d),
                            unknown ? json_null() : json_integer((json_int_t)l->drops[d]));
    }
    return json_pack("{s:s,s:o,s:I,s:I,s:o}", "type", "ledger", "mirror", row_text(mirror, SIZE_MAX), "offered",
                     (json_int_t)l->offered, "processed", (json_int_t)l->processed, "drops", drops);
}

/* The mirror's traffic in the newest window; null when there is none. */
static json_t *mirror_rate(struct source *source, const struct schema_sensor *s, const char *mirror)
{
    struct window *windows = NULL;
    json_t *rate = json_null();
    struct error e;
    size_t n = 0;

    if (s->latest_start_ns[SCHEMA_BASE] == UINT64_MAX)
        return rate;
    if (schema_window_latest(source->store, s, WINDOW_MIRROR, SCHEMA_BASE, &windows, &n, &source->skipped, &e) < 0)
        return rate;
    for (size_t i = 0; i < n; i++) {
        const struct window *w = &windows[i];
        if (strcmp(w->name, mirror) != 0 || w->length_ns == 0)
            continue;
        double bytes = (double)(w->c.dir[0].frame_bytes + w->c.dir[1].frame_bytes);
        json_decref(rate);
        rate = json_real(8 * bytes * 1e9 / (double)w->length_ns);
    }
    free(windows);
    return rate;
}

/* A row; a mirror without ledger or verdict yet has null there. NULL with the reason in e when Redis fails. */
static json_t *status_row(struct source *source, const struct schema_sensor *s, const char *mirror, struct error *e)
{
    struct ledger ledger;
    char *verdict = NULL;
    int r = schema_ledger_get(source->store, s->name, mirror, &ledger, e);
    bool has_ledger = r == 0;

    if (r == 0 || r == -ENOENT)
        r = schema_verdict_get(source->store, s->name, mirror, &verdict, e);
    if (r < 0 && r != -ENOENT)
        return NULL;
    json_t *row = sensor_row(s), *parsed = verdict ? json_loads(verdict, JSON_ALLOW_NUL, NULL) : NULL;
    free(verdict);
    json_object_set_new(row, "type", json_string("status"));
    json_object_set_new(row, "mirror", row_text(mirror, SIZE_MAX));
    json_object_set_new(row, "verdict", parsed != NULL ? parsed : json_null());
    json_object_set_new(row, "rate_bits_per_s", mirror_rate(source, s, mirror));
    json_object_set_new(row, "ledger", has_ledger ? ledger_record(mirror, &ledger) : json_null());
    bool share = has_ledger && ledger.offered > 0;
    json_object_set_new(row, "dropped_pct",
                        share ? json_real(100.0 * (double)ledger_drop_sum(&ledger) / (double)ledger.offered)
                              : json_null());
    return row;
}

static int add_mirrors(struct cli *cli, struct source *source, const struct schema_sensor *s, json_t *rows)
{
    struct error e = {""};

    for (uint32_t i = 0; i < s->n_mirrors && i < SCHEMA_MIRRORS_MAX; i++) {
        json_t *row = status_row(source, s, s->mirror[i], &e);
        if (row == NULL)
            return cli_fail(cli, CLI_ERROR, "%s", e.text);
        json_array_append_new(rows, row);
    }
    if (s->n_mirrors > 0)
        return CLI_OK;
    json_t *row = sensor_row(s);
    json_object_set_new(row, "type", json_string("status"));
    json_array_append_new(rows, row);
    return CLI_OK;
}

/* The worst paths of the newest minute, or base window, of all sensors. */
static int print_paths(struct cli *cli, struct source *source)
{
    struct table_view part = cli->view;
    struct window_rows rows = {.config = source->config};
    struct error e;
    int r = 0;

    for (size_t i = 0; r == 0 && i < source->n_sensors; i++) {
        const struct schema_sensor *s = &source->sensor[i];
        bool minute = schema_tier_exists(SCHEMA_1MIN, s->window_ns) && s->latest_start_ns[SCHEMA_1MIN] != UINT64_MAX;
        enum schema_tier tier = minute ? SCHEMA_1MIN : SCHEMA_BASE;
        struct window *windows = NULL;
        size_t n = 0;
        if (s->latest_start_ns[tier] == UINT64_MAX)
            continue;
        r = schema_window_latest(source->store, s, WINDOW_PATH, tier, &windows, &n, &source->skipped, &e);
        if (r == 0 && window_rows_add(&rows, windows, n, s->name) != 0)
            r = error_set(&e, -ENOMEM, "out of memory");
    }
    window_rows_sort(&rows);
    part.limit = TOP_PATHS;
    part.columns = part.sort = NULL;
    if (r == 0 && rows.n > 0) {
        report_heading(stdout, &part, "Paths now, worst first", "");
        r = window_rows_print(stdout, &rows, path_columns, &part, &e);
    }
    window_rows_fini(&rows);
    return r < 0 ? cli_fail(cli, CLI_ERROR, "%s", e.text) : CLI_OK;
}

static void count_entity(const json_t *rows, const char *not_in, const char *noun)
{
    size_t n = 0, i;
    json_t *row;

    json_array_foreach((json_t *)rows, i, row) n +=
        strstr(not_in, json_string_value(json_object_get(row, "state"))) == NULL;
    printf("  %zu %s", n, noun);
}

/* "Faults  2 incidents open  1 problem ..."; silent when control has never run. */
static int print_faults(struct cli *cli, struct source *source)
{
    struct error e;
    json_t *incidents = entity_rows(source->store, ENTITY_INCIDENT, &e), *problems = NULL, *tickets = NULL;

    if (incidents != NULL)
        problems = entity_rows(source->store, ENTITY_PROBLEM, &e);
    if (problems != NULL)
        tickets = entity_rows(source->store, ENTITY_TICKET, &e);
    if (tickets != NULL && json_array_size(incidents) + json_array_size(problems) > 0) {
        report_heading(stdout, &cli->view, "Faults", "see: spanward incidents, problems, tickets");
        count_entity(incidents, "cleared closed", "incidents open,");
        count_entity(problems, "closed duplicate risk_accepted candidate", "problems unsolved,");
        count_entity(tickets, "closed", "tickets open");
        fputc('\n', stdout);
    }
    json_decref(incidents);
    json_decref(problems);
    json_decref(tickets);
    return tickets == NULL ? cli_fail(cli, CLI_ERROR, "%s", e.text) : CLI_OK;
}

static int print_for_people(struct cli *cli, struct source *source, json_t *rows)
{
    struct error e;
    size_t i;
    json_t *row;

    if (table_print(stdout, status_columns, rows, &cli->view, &e) < 0)
        return cli_fail(cli, CLI_USAGE, "%s", e.text);
    fputc('\n', stdout);
    json_array_foreach(rows, i, row)
    {
        if (row_value(row, "verdict") != NULL)
            report_verdict(stdout, &cli->view, row_value(row, "verdict"));
        if (row_value(row, "ledger") != NULL)
            report_ledger(stdout, &cli->view, row_value(row, "ledger"));
    }
    int code = print_paths(cli, source);
    return code == CLI_OK ? print_faults(cli, source) : code;
}

static int run_status(struct cli *cli)
{
    struct source source;
    json_t *rows = json_array();
    int code = source_open(cli, SOURCE_SENSORS, &source);

    if (code != CLI_OK) {
        json_decref(rows);
        return code;
    }
    for (size_t i = 0; code == CLI_OK && i < source.n_sensors; i++)
        code = add_mirrors(cli, &source, &source.sensor[i], rows);
    if (code == CLI_OK && cli->view.mode == TABLE_HUMAN)
        code = print_for_people(cli, &source, rows);
    else if (code == CLI_OK)
        code = cli_rows(cli, json_incref(rows), "");
    source_warn_skipped(cli, &source);
    source_close(&source);
    json_decref(rows);
    return code;
}

static const struct option_def options[] = {
    {"sensor", "NAME", 0, "only this sensor"},
    {NULL, NULL, 0, NULL},
};

static const struct example status_examples[] = {
    {"status", "sensors, mirrors, what is wrong now"},
    {"status --json | jq -r 'select(.state!=\"live\").sensor'", "for a watchdog"},
    {"status --redis unix:/run/spanward/redis.sock", "a Redis in another place"},
    {NULL, NULL},
};
const struct command command_status = {
    .name = "status",
    .group = "What is happening",
    .summary = "sensors and mirrors: can they be believed, and what is wrong now",
    .usage = "",
    .examples = status_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = status_columns,
    .run = run_status,
};

static const struct example sensor_examples[] = {
    {"sensors", "who writes to this Redis"},
    {"sensors --columns sensor,state,spool,spool-dropped,reconnects", "how they get on with Redis"},
    {NULL, NULL},
};
const struct command command_sensors = {
    .name = "sensors",
    .group = "What is happening",
    .summary = "the probes that write to this Redis, and how they are",
    .usage = "",
    .examples = sensor_examples,
    .sets = OPTIONS_TABLE,
    .options = options,
    .columns = sensor_columns,
    .run = run_sensors,
};
