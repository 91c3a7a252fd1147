/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward baseline: what is normal for an object's metric, drawn as a week, with today on top; and what a person
 * decides when a level has stayed elsewhere for a week.
 *
 * A row is a day, two columns are a local hour, the height of a block is the usual value between the least and the most
 * of all that is drawn. Hours of which only a coarser bin knows something (less than three weeks of evidence) are drawn
 * dotted. The bins are read as control stored them; control itself is not needed.
 */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "apps/cli/send.h"
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/baseline.h"
#include "control/detect.h"
#include "control/level.h"
#include "control/localtime.h"

#define DAYS        7u
#define HOURS       24u
#define NAME_BYTES  200u
#define MIN_NS      (60 * NS_PER_S)
#define FAR_SPREADS 4.0
#define LEAST_LOW   0.6

/* One metric of one object, read from the store. */
struct picture {
    char name[NAME_BYTES]; /* scope|object|metric */
    char object[WINDOW_NAME_BYTES];
    enum window_scope scope;
    enum metric metric;
    struct series series;
    bool found;
    struct baseline_view usual[DAYS][HOURS];
    double today[HOURS]; /* NAN: nothing seen */
    int32_t date;        /* of today; valid while any_today */
    bool any_today;
    double low, high; /* of all that is drawn */
};

static double usual_value(const struct picture *p, unsigned day, unsigned hour)
{
    const struct baseline_view *v = &p->usual[day][hour];

    if (v->level == BASELINE_NONE)
        return NAN;
    return metric_info[p->metric].kind == METRIC_SHARE ? v->mean : v->median;
}

static const char *value_text(char *buf, size_t size, enum metric metric, double value)
{
    switch (metric_info[metric].kind) {
    case METRIC_SHARE:
        return format_percent(buf, size, value * 1e6, 1e6);
    case METRIC_VALUE:
        return format_latency_us(buf, size, value / 1e3);
    case METRIC_LOAD:
        break;
    }
    return format_rate_bits(buf, size, value);
}

/* --- reading --- */

static int keep_part(void *ctx, const char *field, const void *data, size_t len)
{
    struct picture *p = ctx;
    unsigned group = field[0] >= '0' && field[0] <= '7' && field[1] == '\0' ? (unsigned)(field[0] - '0') : 8;

    if (group == 8 || len != baseline_group_bins(group) * sizeof(struct baseline_bin))
        return 0; /* the hours of exposure, or of another release */
    struct baseline_bin *bins = baseline_group(&p->series.baseline, group);
    if (bins == NULL)
        return -ENOMEM;
    memcpy(bins, data, len);
    for (unsigned i = 0; i < baseline_group_bins(group); i++) {
        if (metric_info[p->metric].kind != METRIC_SHARE && bins[i].n_centroids > BASELINE_CENTROIDS)
            return -EBADMSG;
    }
    p->found = true;
    return 0;
}

static int keep_state(void *ctx, const char *field, const void *data, size_t len)
{
    struct picture *p = ctx;

    if (strcmp(field, p->name) == 0 && len == sizeof(p->series.s))
        memcpy(&p->series.s, data, len);
    return 0;
}

static void see_usual(struct picture *p)
{
    for (unsigned day = 0; day < DAYS; day++) {
        for (unsigned hour = 0; hour < HOURS; hour++) {
            struct local_time t = {.weekday = (uint8_t)day, .hour = (uint8_t)hour};
            if (metric_info[p->metric].kind == METRIC_SHARE)
                baseline_view_counts(&p->series.baseline, &t, &p->usual[day][hour]);
            else
                baseline_view_values(&p->series.baseline, &t, &p->usual[day][hour]);
        }
    }
}

/* The hours of the newest local day that any sensor has; several sensors' hours are merged as control does. */
static int see_today(struct picture *p, struct source *source, struct error *e)
{
    struct observation hours[HOURS];
    bool seen[HOURS] = {false};
    uint64_t newest = 0;
    struct local_time t;

    for (size_t i = 0; i < source->n_sensors; i++) {
        uint64_t latest = source->sensor[i].latest_start_ns[SCHEMA_1H];
        newest = latest != UINT64_MAX && latest > newest ? latest : newest;
    }
    if (newest == 0)
        return 0;
    local_from_ns(newest, &t);
    p->date = t.date;
    for (size_t i = 0; i < source->n_sensors; i++) {
        struct window *w = NULL;
        size_t n = 0;
        int rc = schema_window_read(source->store, &source->sensor[i], p->scope, p->object, SCHEMA_1H,
                                    local_to_ns(p->date, 0, 0), newest + 1, &w, &n, &source->skipped, e);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < n; k++) {
            struct observation o;
            observation_from_window(&o, &w[k]);
            local_from_ns(w[k].start_ns, &t);
            if (t.date != p->date)
                continue;
            if (seen[t.hour])
                observation_merge(&hours[t.hour], &o);
            else
                hours[t.hour] = o;
            seen[t.hour] = true;
        }
        free(w);
    }
    for (unsigned h = 0; h < HOURS; h++) {
        if (seen[h] && metric_value(p->metric, &hours[h], 60, &p->today[h]))
            p->any_today = true;
    }
    return 0;
}

static void stretch(struct picture *p, double value)
{
    if (isnan(value))
        return;
    p->low = value < p->low ? value : p->low;
    p->high = value > p->high ? value : p->high;
}

static int read_picture(struct cli *cli, struct source *source, struct picture *p)
{
    struct error e = {""};
    struct entity_meta meta;
    int rc = entities_get(source->store, ENTITY_META, "", &meta, &e);

    if (rc == 1)
        rc = local_init(meta.zone, &e);
    for (unsigned h = 0; h < HOURS; h++)
        p->today[h] = NAN;
    rc = rc < 0 ? rc : learned_each(source->store, LEARNED_BINS, p->name, keep_part, p, &e);
    rc = rc < 0 ? rc : learned_each(source->store, LEARNED_SERIES, "", keep_state, p, &e);
    rc = rc < 0 ? rc : see_today(p, source, &e);
    if (rc < 0)
        return cli_fail(cli, CLI_ERROR, "%s", e.text[0] != '\0' ? e.text : strerror(-rc));
    see_usual(p);
    p->low = INFINITY;
    p->high = 0;
    for (unsigned i = 0; i < DAYS * HOURS; i++)
        stretch(p, usual_value(p, i / HOURS, i % HOURS));
    for (unsigned h = 0; h < HOURS; h++)
        stretch(p, p->today[h]);
    p->low = p->low < LEAST_LOW * p->high ? 0 : LEAST_LOW * p->high; /* small differences stay small */
    return CLI_OK;
}

/* --- drawing --- */

static const char *block_of(const struct picture *p, double value)
{
    static const char *const blocks[] = {"▁▁", "▂▂", "▃▃", "▄▄", "▅▅", "▆▆", "▇▇", "██"};
    double part = p->high > p->low ? (value - p->low) / (p->high - p->low) : 0;
    int step = (int)(part * 8);

    if (isnan(value))
        return "  ";
    return blocks[step < 0 ? 0 : step > 7 ? 7 : step];
}

/* Whether today's hour lies far outside of what is usual. */
static bool is_far(const struct picture *p, unsigned hour)
{
    const struct baseline_view *v = &p->usual[local_weekday(p->date)][hour];
    double x = p->today[hour];

    if (isnan(x) || v->level == BASELINE_NONE)
        return false;
    if (metric_info[p->metric].kind == METRIC_SHARE)
        return x > 5 * v->mean && x > 0.001;
    return x > v->median * exp(FAR_SPREADS * v->spread_up) || x < v->median * exp(-FAR_SPREADS * v->spread_down);
}

static void draw_day(const struct picture *p, unsigned day, bool colour)
{
    char text[40];
    double sum = 0;
    unsigned n = 0;
    bool is_today = p->any_today && local_weekday(p->date) == day;

    printf("%c %-10s", is_today ? '>' : ' ', weekday_name((uint8_t)day));
    for (unsigned h = 0; h < HOURS; h++) {
        double value = usual_value(p, day, h);
        bool own = p->usual[day][h].level == BASELINE_HOUR_OF_WEEK;
        term_put(stdout, colour, own ? STYLE_PLAIN : STYLE_DIM, own || isnan(value) ? block_of(p, value) : "··");
        sum += isnan(value) ? 0 : value;
        n += !isnan(value);
    }
    printf(" %s\n", n > 0 ? value_text(text, sizeof(text), p->metric, sum / n) : "-");
}

static void draw_today(const struct picture *p, bool colour)
{
    char text[40];
    unsigned n = 0, far = 0;
    double sum = 0;

    fputs("  today     ", stdout);
    for (unsigned h = 0; h < HOURS; h++) {
        term_put(stdout, colour, is_far(p, h) ? STYLE_BAD : STYLE_BOLD, block_of(p, p->today[h]));
        far += is_far(p, h);
        n += !isnan(p->today[h]);
        sum += isnan(p->today[h]) ? 0 : p->today[h];
    }
    printf(" %s\n", n > 0 ? value_text(text, sizeof(text), p->metric, sum / n) : "-");
    if (far == 0)
        return;
    fputs("  unusual   ", stdout);
    for (unsigned h = 0; h < HOURS; h++)
        fputs(is_far(p, h) ? "^^" : "  ", stdout);
    fputc('\n', stdout);
}

static void draw_notes(const struct picture *p)
{
    const struct series_state *s = &p->series.s;
    char low[40], high[40], when[64];
    unsigned own = 0;

    for (unsigned i = 0; i < DAYS * HOURS; i++)
        own += p->usual[i / HOURS][i % HOURS].level == BASELINE_HOUR_OF_WEEK;
    if (p->high > 0)
        printf("\nBlocks from %s to %s. ", value_text(low, sizeof(low), p->metric, p->low),
               value_text(high, sizeof(high), p->metric, p->high));
    printf("%u of 168 hours have three weeks of evidence%s.\n", own,
           own < DAYS * HOURS ? "; dotted ones follow the hour of the day" : "");
    if (s->proposed_minute != 0)
        printf("Proposed as the new normal: %.2f times this, since %s. --approve or --refuse\n", exp((double)s->level),
               local_format(when, sizeof(when), s->level_minute * MIN_NS, 0));
    else if (s->level_hours >= HOURS)
        printf("Elsewhere since %s: %.2f times this%s.\n",
               local_format(when, sizeof(when), s->level_minute * MIN_NS, 0), exp((double)s->level),
               s->refused_minute != 0 ? ", refused as a new normal" : "");
    else if (s->drift >= SERIES_DRIFTING)
        printf("Drifting upwards.\n");
}

static int draw(struct cli *cli, const struct picture *p)
{
    printf("%s  %s, usual by local hour\n\n  %-10s", p->object, metric_info[p->metric].name, "");
    for (unsigned h = 0; h < HOURS; h += 3)
        printf("%-6u", h);
    fputs("mean\n", stdout);
    if (p->any_today)
        draw_today(p, cli->term.colour);
    for (unsigned day = 0; day < DAYS; day++)
        draw_day(p, day, cli->term.colour);
    draw_notes(p);
    return CLI_OK;
}

/* --- rows for programs --- */

static json_t *number_or_null(double x)
{
    return isnan(x) ? json_null() : json_real(x);
}

static int print_rows(struct cli *cli, const struct picture *p)
{
    json_t *rows = json_array();

    for (unsigned i = 0; i < DAYS * HOURS; i++) {
        unsigned day = i / HOURS, h = i % HOURS;
        const struct baseline_view *v = &p->usual[day][h];
        bool share = metric_info[p->metric].kind == METRIC_SHARE;
        bool is_today = p->any_today && local_weekday(p->date) == day;
        json_array_append_new(
            rows,
            json_pack("{s:s,s:i,s:s,s:o,s:o,s:o,s:o}", "day", weekday_name((uint8_t)day), "hour", (int)h, "level",
                      baseline_level_name(v->level), "usual", number_or_null(usual_value(p, day, h)), "low",
                      share || v->level == BASELINE_NONE ? json_null() : json_real(v->median * exp(-v->spread_down)),
                      "high",
                      share || v->level == BASELINE_NONE ? json_null() : json_real(v->median * exp(v->spread_up)),
                      "today", number_or_null(is_today ? p->today[h] : NAN)));
    }
    cli->view.columns = cli->view.columns != NULL ? cli->view.columns : "day,hour,usual,low,high,evidence,today";
    return cli_rows(cli, rows, "Nothing.");
}

/* --- the list --- */

struct listing {
    json_t *rows;
    bool all;
};

static int list_series(void *ctx, const char *field, const void *data, size_t len)
{
    struct listing *l = ctx;
    struct series_state s;
    const char *first = strchr(field, '|'), *last = strrchr(field, '|');

    if (len != sizeof(s) || first == NULL || last == first)
        return 0;
    memcpy(&s, data, len);
    const char *word = s.proposed_minute != 0          ? "proposed"
                       : s.refused_minute != 0         ? "refused"
                       : s.level_hours >= HOURS        ? "elsewhere"
                       : s.drift >= SERIES_DRIFTING    ? "drifting"
                       : s.state < ANOMALY_STATE_COUNT ? anomaly_state_name(s.state)
                                                       : "unknown";
    bool notable =
        s.proposed_minute != 0 || s.refused_minute != 0 || s.level_hours >= HOURS || s.drift >= SERIES_DRIFTING;
    if (!notable && !l->all)
        return 0;
    json_t *row =
        json_pack("{s:s%,s:s%,s:s,s:s,s:f}", "scope", field, (size_t)(first - field), "object", first + 1,
                  (size_t)(last - first - 1), "metric", last + 1, "state", word, "factor", exp((double)s.level));
    if (row != NULL && s.level_minute != 0)
        json_object_set_new(row, "since_ns", json_integer((json_int_t)(s.level_minute * MIN_NS)));
    if (row != NULL)
        json_array_append_new(l->rows, row);
    return 0;
}

static int run_list(struct cli *cli, struct source *source)
{
    struct listing l = {json_array(), args_has(&cli->args, "all")};
    struct error e = {""};

    if (learned_each(source->store, LEARNED_SERIES, "", list_series, &l, &e) < 0) {
        json_decref(l.rows);
        return cli_fail(cli, CLI_ERROR, "%s", e.text);
    }
    if (cli->view.columns == NULL)
        cli->view.columns = "scope,object,metric,state,factor,since";
    return cli_rows(cli, l.rows, "Every level is where it usually is. --all lists what is known.");
}

/* --- the command --- */

/* "Branch~DC" is a path; "service|https" says which kind. */
static int name_picture(struct cli *cli, struct picture *p)
{
    const char *text = cli->args.rest[0], *metric = cli->args.rest[1], *bar = strchr(text, '|');
    char safe[WINDOW_NAME_BYTES], scope[16] = "path";

    p->metric = metric_of(metric);
    if (p->metric == METRIC_COUNT) {
        text_escape(safe, sizeof(safe), metric, strlen(metric));
        return cli_fail(cli, CLI_USAGE,
                        "there is no metric '%.40s': loss_a2b, loss_b2a, connect, rtt_a, rtt_b, load_a2b, load_b2a",
                        safe);
    }
    if (bar != NULL)
        snprintf(scope, sizeof(scope), "%.*s", (int)(bar - text < 15 ? bar - text : 15), text);
    p->scope = window_scope_of(scope);
    if (p->scope == WINDOW_SCOPE_COUNT)
        return cli_fail(cli, CLI_USAGE,
                        "SCOPE is a path, or KIND|NAME with path, service, host, circuit, vlan, tunnel or mirror");
    text = bar != NULL ? bar + 1 : text;
    text_escape(p->object, sizeof(p->object), text, strlen(text));
    snprintf(p->name, sizeof(p->name), "%s|%s|%s", scope, p->object, metric);
    return CLI_OK;
}

static int run_one(struct cli *cli, struct source *source)
{
    struct picture *p = aligned_alloc(_Alignof(struct picture), sizeof(*p));

    if (p == NULL)
        return cli_fail(cli, CLI_ERROR, "no memory");
    memset(p, 0, sizeof(*p));
    int code = name_picture(cli, p);
    if (code == CLI_OK && (args_has(&cli->args, "approve") || args_has(&cli->args, "refuse")))
        code = send_command(cli, source, args_has(&cli->args, "approve") ? "baseline.approve" : "baseline.refuse",
                            p->name, NULL);
    else if (code == CLI_OK) {
        code = read_picture(cli, source, p);
        if (code == CLI_OK && !p->found)
            code = cli_fail(cli, CLI_ERROR, "nothing is known about %s yet; see: spanward baseline --all", p->name);
        else if (code == CLI_OK)
            code = cli->view.mode == TABLE_HUMAN ? draw(cli, p) : print_rows(cli, p);
    }
    series_fini(&p->series);
    free(p);
    return code;
}

static int run_baseline(struct cli *cli)
{
    struct source source;

    if (cli->args.n_rest == 1)
        return cli_fail(cli, CLI_USAGE, "needs SCOPE and METRIC; see: spanward baseline --help");
    int code = source_open(cli, cli->args.n_rest == 0 ? SOURCE_ENTITIES : SOURCE_ANY_SENSORS, &source);
    if (code == CLI_OK)
        code = cli->args.n_rest == 0 ? run_list(cli, &source) : run_one(cli, &source);
    source_close(&source);
    return code;
}

static const struct column columns[] = {
    {"scope", "SCOPE", "scope", COLUMN_TEXT, 3, "path, service, host, ..."},
    {"object", "OBJECT", "object", COLUMN_NAME, 0, "its name"},
    {"metric", "METRIC", "metric", COLUMN_TEXT, 0, "of which the level has moved"},
    {"state", "STATE", "state", COLUMN_STATE, 0,
     "drifting, elsewhere, proposed, refused; with --all also the detector's"},
    {"factor", "TIMES", "factor", COLUMN_TEXT, 0, "value / baseline while it stays elsewhere"},
    {"since", "SINCE", "since_ns", COLUMN_TIME, 2, "when it moved"},
    {"day", "DAY", "day", COLUMN_TEXT, COLUMN_EXTRA, "weekday of a bin"},
    {"hour", "HOUR", "hour", COLUMN_COUNT, COLUMN_EXTRA, "local hour of a bin"},
    {"usual", "USUAL", "usual", COLUMN_TEXT, COLUMN_EXTRA, "share, ns, or bits per second"},
    {"low", "LOW", "low", COLUMN_TEXT, COLUMN_EXTRA, "one spread below"},
    {"high", "HIGH", "high", COLUMN_TEXT, COLUMN_EXTRA, "one spread above"},
    {"evidence", "EVIDENCE", "level", COLUMN_TEXT, COLUMN_EXTRA,
     "the bins that speak: hour_of_week, hour_of_day, global"},
    {"today", "TODAY", "today", COLUMN_TEXT, COLUMN_EXTRA, "the newest day's hour"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static const struct option_def options[] = {
    {"all", NULL, 0, "list everything that has a baseline"},
    {"approve", NULL, 0, "take the proposed level for normal from now on"},
    {"refuse", NULL, 0, "it stays a fault until it ends"},
    {NULL, NULL, 0, NULL},
};

static const struct example examples[] = {
    {"baseline", "levels that have moved, and what waits for a decision"},
    {"baseline Branch-12~DC rtt_a", "what is usual over the week, with today on top"},
    {"baseline Branch-12~DC rtt_a --approve", "the new level is normal"},
    {"baseline 'service|https' connect --json", "168 hours for a program"},
    {NULL, NULL},
};

const struct command command_baseline = {
    .name = "baseline",
    .group = "What happens next",
    .summary = "what is normal, hour by hour of the week, and levels that have moved",
    .usage = "[SCOPE METRIC]",
    .text =
        "SCOPE is a path, or KIND|NAME. METRIC is loss_a2b, loss_b2a, connect, rtt_a, rtt_b, load_a2b or load_b2a. A "
        "level that stays elsewhere for seven days is proposed as the new normal; --approve or --refuse it.",
    .examples = examples,
    .sets = OPTIONS_TABLE | OPTIONS_SEND,
    .options = options,
    .columns = columns,
    .max_rest = 2,
    .run = run_baseline,
};
