/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward export: stored windows with every counter, for other programs: JSON lines, or CSV with a line of headings.
 *
 * Names of fields come from the counters' own tables (docs/COUNTERS.md), with the direction in front: a2b_ and b2a_ for
 * paths, c2s_ and s2c_ else (circuits: c2s_ is what came from the site). Latencies are in microseconds; where there
 * were no samples, and where the mirror could not judge loss, the value is null in JSON and empty in CSV.
 *
 * One object is in memory at a time. A line is written whole or not at all.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "apps/cli/rows.h"
#include "apps/cli/source.h"
#include "common/bytes.h"
#include "common/timefmt.h"

/* What one export is about. Owner: the command. */
struct export
{
    struct cli *cli;
    struct source *source;
    enum window_scope scope;
    enum schema_tier tier;
    const char *object; /* NULL: all */
    bool csv;
    uint64_t n_windows;
};

/* ---- one line ---- */

/* A field of a line: a text, a number, or nothing. */
struct value {
    const char *text;
    uint64_t number;
    enum { VALUE_TEXT, VALUE_NUMBER, VALUE_US, VALUE_NOTHING } kind;
};

/* Calls each for every field of a window (w NULL: values do not matter) in the order of the columns; the name has two
 * parts. */
struct line {
    const struct export *x;
    const char *sensor;
    const struct window *w;
    void (*each)(struct line *l, const char *prefix, const char *name, struct value v);
    bool first;
};

static void number(struct line *l, const char *prefix, const char *name, uint64_t v, bool known)
{
    l->each(l, prefix, name,
            known ? (struct value){.number = v, .kind = VALUE_NUMBER} : (struct value){.kind = VALUE_NOTHING});
}

/* Loss is known only of flows that were seen both ways. */
static bool is_known(const char *name, const struct window_dir *d)
{
    bool is_loss = strncmp(name, "lost_", 5) == 0 || strcmp(name, "spurious_pkts") == 0;

    return !is_loss || d->judged_pkts != 0 || d->data_pkts == 0;
}

static void counters(struct line *l)
{
    static const struct window_counters none;
    const struct window_counters *c = l->w != NULL ? &l->w->c : &none;
    bool path = l->x->scope == WINDOW_PATH;

    for (int d = 0; d < 2; d++) {
        const char *prefix = path ? (d == 0 ? "a2b_" : "b2a_") : d == 0 ? "c2s_" : "s2c_";
#define X(name, unit, text) number(l, prefix, #name, c->dir[d].name, is_known(#name, &c->dir[d]));
        WINDOW_DIR_COUNTERS(X)
#undef X
    }
#define X(name, unit, text) number(l, "", #name, c->name, true);
    WINDOW_COUNTERS(X)
#undef X
}

static void latencies(struct line *l)
{
    static const char *const path_names[] = {"rtt_a_us_", "rtt_b_us_", "response_us_", "dns_us_"};
    static const char *const other_names[] = {"rtt_client_us_", "rtt_server_us_", "response_us_", "dns_us_"};
    static const struct window_quantiles none;

    for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++) {
        const struct window_quantiles *q = l->w != NULL ? &l->w->q[h] : &none;
        const char *base = l->x->scope == WINDOW_PATH ? path_names[h] : other_names[h];
        const struct {
            const char *name;
            uint64_t ns;
        } known[] = {{"min", q->min_ns}, {"p10", q->p10_ns}, {"p50", q->p50_ns},
                     {"p90", q->p90_ns}, {"p99", q->p99_ns}, {"max", q->max_ns}};
        number(l, base, "n", q->n, true);
        for (unsigned i = 0; i < 6; i++)
            l->each(l, base, known[i].name,
                    q->n != 0 ? (struct value){.number = known[i].ns, .kind = VALUE_US}
                              : (struct value){.kind = VALUE_NOTHING});
    }
}

static void write_line(const struct export *x, const char *sensor, const struct window *w,
                       void (*each)(struct line *l, const char *prefix, const char *name, struct value v))
{
    static const struct window none;
    struct line l = {.x = x, .sensor = sensor, .w = w, .each = each, .first = true};
    const struct window *v = w != NULL ? w : &none;

    each(&l, "", "sensor", (struct value){.text = sensor});
    each(&l, "", "scope", (struct value){.text = window_scope_name(x->scope)});
    each(&l, "", "object", (struct value){.text = v->name});
    each(&l, "", "tier", (struct value){.text = schema_tier_name(x->tier)});
    number(&l, "", "start_ns", v->start_ns, true);
    number(&l, "", "length_ns", v->length_ns, true);
    each(&l, "", "quality", (struct value){.text = window_quality_name(v->quality)});
    number(&l, "", "missing_pct", v->missing_pct, true);
    counters(&l);
    latencies(&l);
}

/* An export has millions of fields; printf would take most of its time. */
static void put_text(const char *text)
{
    fputs_unlocked(text, stdout);
}

static void put_number(uint64_t v)
{
    char digit[20];
    size_t at = sizeof(digit);

    do {
        digit[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    fwrite_unlocked(digit + at, 1, sizeof(digit) - at, stdout);
}

/* Nanoseconds as microseconds, with no more decimals than needed. */
static void put_us(uint64_t ns)
{
    char decimals[4] = {'.', (char)('0' + ns % 1000 / 100), (char)('0' + ns % 100 / 10), (char)('0' + ns % 10)};
    size_t n = 4;

    put_number(ns / 1000);
    while (n > 1 && decimals[n - 1] == '0')
        n--;
    if (n > 1)
        fwrite_unlocked(decimals, 1, n, stdout);
}

static void csv_name(struct line *l, const char *prefix, const char *name, struct value v)
{
    (void)v;
    printf("%s%s%s", l->first ? "" : ",", prefix, name);
    l->first = false;
}

/* Quoted where it must be; control characters and bytes that are no UTF-8 as \\xNN. */
static void csv_text(const char *text)
{
    char safe[4 * WINDOW_NAME_BYTES];

    text_escape(safe, sizeof(safe), text, strlen(text));
    if (strpbrk(safe, ",\"") == NULL) {
        put_text(safe);
        return;
    }
    putchar('"');
    for (const char *p = safe; *p != '\0'; p++) {
        if (*p == '"')
            putchar('"');
        putchar(*p);
    }
    putchar('"');
}

static void csv_value(struct line *l, const char *prefix, const char *name, struct value v)
{
    (void)prefix;
    (void)name;
    if (!l->first)
        putchar_unlocked(',');
    l->first = false;
    if (v.kind == VALUE_TEXT)
        csv_text(v.text);
    else if (v.kind == VALUE_NUMBER)
        put_number(v.number);
    else if (v.kind == VALUE_US)
        put_us(v.number);
}

static void json_text(const char *text)
{
    json_t *string = row_text(text, SIZE_MAX);
    char *dump = json_dumps(string, JSON_ENCODE_ANY);

    put_text(dump != NULL ? dump : "null");
    free(dump);
    json_decref(string);
}

static void json_value(struct line *l, const char *prefix, const char *name, struct value v)
{
    put_text(l->first ? "{\"" : ",\"");
    l->first = false;
    put_text(prefix);
    put_text(name);
    put_text("\":");
    if (v.kind == VALUE_TEXT)
        json_text(v.text);
    else if (v.kind == VALUE_NUMBER)
        put_number(v.number);
    else if (v.kind == VALUE_US)
        put_us(v.number);
    else
        put_text("null");
}

static void print_window(const struct export *x, const char *sensor, const struct window *w)
{
    write_line(x, sensor, w, x->csv ? csv_value : json_value);
    put_text(x->csv ? "\n" : "}\n");
}

/* ---- options ---- */

/*
 * A moment: a duration back from newest_ns, "@SECONDS" since the epoch, or a date with or without a time, local unless
 * it ends in Z.
 */
static bool parse_moment(const char *text, uint64_t newest_ns, uint64_t *ret_ns)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    uint64_t back;

    if (parse_duration(text, &back) == 0) {
        *ret_ns = newest_ns > back ? newest_ns - back : 0;
        return true;
    }
    if (text[0] == '@' && text[1] >= '0' && text[1] <= '9') {
        char *end;
        errno = 0;
        unsigned long long s = strtoull(text + 1, &end, 10);
        if (*end != '\0' || errno != 0 || s > UINT64_MAX / NS_PER_S)
            return false;
        *ret_ns = s * NS_PER_S;
        return true;
    }
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct tm t = {.tm_isdst = -1};
        const char *end = strptime(text, formats[i], &t);
        bool utc = end != NULL && strcmp(end, "Z") == 0;
        if (end == NULL || (*end != '\0' && !utc))
            continue;
        t.tm_isdst = -1;
        time_t s = utc ? timegm(&t) : mktime(&t);
        if (s < 0)
            return false;
        *ret_ns = (uint64_t)s * NS_PER_S;
        return true;
    }
    return false;
}

static int get_moment(const struct cli *cli, const char *option, const struct schema_sensor *s, uint64_t *ret_ns)
{
    const char *text = args_value(&cli->args, option);
    char safe[64];

    if (text == NULL || parse_moment(text, s->data_ns, ret_ns))
        return CLI_OK;
    text_escape(safe, sizeof(safe), text, strlen(text));
    return cli_fail(cli, CLI_USAGE,
                    "--%s wants a duration such as 2h, a time such as 2026-11-17T08:00 (with Z: UTC) or @SECONDS, not "
                    "'%s'",
                    option, safe);
}

static int get_word(const struct cli *cli, const char *option, const char *fallback, const char *(*name)(int),
                    int n_names, int *ret)
{
    const char *text = args_value(&cli->args, option) != NULL ? args_value(&cli->args, option) : fallback;
    char safe[64], all[160] = "";

    for (*ret = 0; *ret < n_names; (*ret)++) {
        if (strcmp(text, name(*ret)) == 0)
            return CLI_OK;
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", *ret == 0 ? "" : ", ", name(*ret));
    }
    text_escape(safe, sizeof(safe), text, strlen(text));
    return cli_fail(cli, CLI_USAGE, "--%s is one of %s, not '%s'", option, all, safe);
}

static const char *scope_name(int i)
{
    return window_scope_name((enum window_scope)i);
}

static const char *tier_name(int i)
{
    return schema_tier_name((enum schema_tier)i);
}

static const char *format_name(int i)
{
    return i == 0 ? "jsonl" : "csv";
}

static int read_options(struct cli *cli, struct export *x)
{
    int scope, tier, format, code = get_word(cli, "scope", "path", scope_name, WINDOW_SCOPE_COUNT, &scope);

    if (code == CLI_OK)
        code = get_word(cli, "tier", "1min", tier_name, SCHEMA_TIER_COUNT, &tier);
    if (code == CLI_OK)
        code = get_word(cli, "format", "jsonl", format_name, 2, &format);
    if (code != CLI_OK)
        return code;
    *x = (struct export){.cli = cli,
                         .scope = (enum window_scope)scope,
                         .tier = (enum schema_tier)tier,
                         .csv = format == 1,
                         .object = cli->args.n_rest != 0 ? cli->args.rest[0] : NULL};
    return CLI_OK;
}

/* ---- all objects ---- */

static int export_object(struct export *x, const struct schema_sensor *s, const char *object, uint64_t since_ns,
                         uint64_t until_ns)
{
    struct window *windows = NULL;
    struct error e;
    size_t n = 0;

    if (schema_window_read(x->source->store, s, x->scope, object, x->tier, since_ns, until_ns, &windows, &n,
                           &x->source->skipped, &e) < 0)
        return cli_fail(x->cli, CLI_ERROR, "%s", e.text);
    for (size_t i = 0; i < n; i++)
        print_window(x, s->name, &windows[i]);
    x->n_windows += n;
    free(windows);
    return ferror(stdout) ? cli_flush(x->cli) : CLI_OK;
}

static int compare_windows(const void *a, const void *b)
{
    const struct window *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* A few windows of all objects take one look-up instead of one for each object. */
static int export_slice(struct export *x, const struct schema_sensor *s, uint64_t first_ns, uint64_t n_windows)
{
    struct window *windows = NULL;
    struct error e;
    size_t n = 0;

    if (schema_window_all(x->source->store, s, x->scope, x->tier, first_ns, n_windows, &windows, &n,
                          &x->source->skipped, &e) < 0)
        return cli_fail(x->cli, CLI_ERROR, "%s", e.text);
    if (n != 0)
        qsort(windows, n, sizeof(*windows), compare_windows);
    for (size_t i = 0; i < n; i++)
        print_window(x, s->name, &windows[i]);
    x->n_windows += n;
    free(windows);
    return ferror(stdout) ? cli_flush(x->cli) : CLI_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct schema_list_item *)a)->name, ((const struct schema_list_item *)b)->name);
}

static int export_sensor(struct export *x, const struct schema_sensor *s)
{
    uint64_t since_ns = s->data_ns > 3600 * NS_PER_S ? s->data_ns - 3600 * NS_PER_S : 0, until_ns = UINT64_MAX / 2;
    struct schema_list list = {0};
    struct error e;
    int code = get_moment(x->cli, "since", s, &since_ns);

    if (code == CLI_OK)
        code = get_moment(x->cli, "until", s, &until_ns);
    if (code != CLI_OK || !schema_tier_exists(x->tier, s->window_ns))
        return code;
    if (x->object != NULL)
        return export_object(x, s, x->object, since_ns, until_ns);
    uint64_t length_ns = schema_tier_length_ns(x->tier, s->window_ns), latest_ns = s->latest_start_ns[x->tier];
    uint64_t first_ns = (since_ns + length_ns - 1) / length_ns * length_ns;
    if (latest_ns != UINT64_MAX && until_ns > latest_ns + length_ns)
        until_ns = latest_ns + length_ns;
    if (until_ns <= first_ns)
        return CLI_OK;
    uint64_t n_windows = (until_ns - first_ns + length_ns - 1) / length_ns;
    if (n_windows <= SCHEMA_WINDOWS_AT_ONCE)
        return export_slice(x, s, first_ns, n_windows);
    if (schema_object_list(x->source->store, s->name, x->scope, since_ns, &list, &e) < 0)
        return cli_fail(x->cli, CLI_ERROR, "%s", e.text);
    if (list.n != 0)
        qsort(list.item, list.n, sizeof(*list.item), compare_names);
    for (size_t i = 0; i < list.n && code == CLI_OK; i++)
        code = export_object(x, s, list.item[i].name, since_ns, until_ns);
    schema_list_free(&list);
    return code;
}

static int run_export(struct cli *cli)
{
    struct source source;
    struct export x;
    int code = read_options(cli, &x);

    if (code == CLI_OK)
        code = source_open(cli, SOURCE_SENSORS, &source);
    if (code != CLI_OK)
        return code;
    x.source = &source;
    if (x.csv) {
        write_line(&x, "", NULL, csv_name);
        putchar('\n');
    }
    for (size_t i = 0; i < source.n_sensors && code == CLI_OK; i++)
        code = export_sensor(&x, &source.sensor[i]);
    source_warn_skipped(cli, &source);
    source_close(&source);
    if (code == CLI_OK && x.n_windows == 0)
        fputs("No windows in that time.\n", stderr);
    int flushed = cli_flush(cli);
    return code != CLI_OK ? code : flushed;
}

static const struct option_def options[] = {
    {"scope", "NAME", 0, "path (default), service, mirror, host, circuit, vlan or tunnel"},
    {"tier", "NAME", 't', "base (the sensor's own windows), 1min (default), 15min or 1h"},
    {"since", "TIME", 0,
     "2h (back from the newest data), 2026-11-17T08:00, 2026-11-17T07:00Z or @SECONDS (default: 1h)"},
    {"until", "TIME", 0, "likewise (default: all that there is)"},
    {"format", "NAME", 0, "jsonl (default) or csv"},
    {"sensor", "NAME", 0, "only this sensor"},
    {NULL, NULL, 0, NULL},
};
static const struct example examples[] = {
    {"export --format csv --since 7d --tier 15min | gzip", "all paths of a week, for a spreadsheet"},
    {"export 'branch-12~hq' --since 2026-11-17T08:00 --until 2026-11-17T11:00", "one path over one morning"},
    {"export --scope circuit --tier 1h --since 35d | jq .s2c_bytes", "what circuits carried, hour by hour"},
    {NULL, NULL},
};
const struct command command_export = {
    .name = "export",
    .group = "Tools",
    .summary = "stored windows with every counter, as JSON lines or CSV",
    .usage = "[OBJECT]",
    .text =
        "Fields are the counters of docs/COUNTERS.md with their direction: a2b_ and b2a_ for paths, c2s_ and s2c_ for "
        "the others (circuits: c2s_ comes from the site). missing_pct is the share of the window's time in which the "
        "sensor did not watch.",
    .examples = examples,
    .sets = OPTIONS_STORE,
    .options = options,
    .max_rest = 1,
    .run = run_export,
};
