/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The page of `spanward read`.
 *
 * Records stream through: flows, paths and services compete for a few places each (struct worst), events are
 * counted per kind, verdicts and ledgers are one per mirror. Nothing else is kept, so a capture of any size needs the
 * same memory.
 *
 * The order of the page is the order of trust: can the mirror be believed at all (verdict), was every packet accounted
 * for (ledger), then where the loss and the latency are (paths, services), then the flows to look at.
 */

#include "apps/cli/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "common/bytes.h"
#include "common/counters.h"
#include "common/timefmt.h"

#define LABEL_WIDTH 12

static const struct column kind_columns[] = {
    {"severity", "SEVERITY", "severity", COLUMN_STATE, 0, "the worst one"},
    {"kind", "KIND", "kind", COLUMN_TEXT, 0, "what happened"},
    {"count", "COUNT", "count", COLUMN_COUNT, 0, "how often"},
    {"subject", "FIRST SEEN AT", "subject", COLUMN_NAME, 0, "whom it happened to first"},
    {"first", "FROM", "first_ns", COLUMN_TIME, 5, "first time"},
    {"last", "TO", "last_ns", COLUMN_TIME, 6, "last time"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

int report_init(struct report *r)
{
    *r = (struct report){.verdicts = json_array(), .ledgers = json_array(), .event_kinds = json_object()};
    int bad =
        worst_init(&r->flows, REPORT_ROWS) | worst_init(&r->paths, REPORT_ROWS) | worst_init(&r->services, REPORT_ROWS);
    if (bad == 0 && r->verdicts != NULL && r->ledgers != NULL && r->event_kinds != NULL)
        return 0;
    report_fini(r);
    return -ENOMEM;
}

void report_fini(struct report *r)
{
    worst_fini(&r->flows);
    worst_fini(&r->paths);
    worst_fini(&r->services);
    json_decref(r->verdicts);
    json_decref(r->ledgers);
    json_decref(r->event_kinds);
    *r = (struct report){0};
}

static void add_flow(struct report *r, json_t *record)
{
    uint64_t first = (uint64_t)json_integer_value(json_object_get(record, "first_ns"));
    uint64_t last = (uint64_t)json_integer_value(json_object_get(record, "last_ns"));

    r->n_flows++;
    if (r->first_ns == 0 || first < r->first_ns)
        r->first_ns = first;
    if (last > r->last_ns)
        r->last_ns = last;
    json_t *row = row_of_flow(json_incref(record));
    worst_offer(&r->flows, row, badness_of_flow(row));
}

static int severity_of(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "severity"));

    for (int i = EVENT_SEVERITY_COUNT - 1; name != NULL && i > 0; i--)
        if (strcmp(name, event_severity_name((enum event_severity)i)) == 0)
            return i;
    return 0;
}

static void add_event(struct report *r, json_t *record)
{
    const char *kind = json_string_value(json_object_get(record, "kind"));
    json_t *ts = json_object_get(record, "ts_ns");

    r->n_events++;
    if (kind == NULL)
        return;
    json_t *row = json_object_get(r->event_kinds, kind);
    if (row == NULL) {
        if (json_object_size(r->event_kinds) >= REPORT_EVENT_KINDS)
            return;
        row = json_pack("{s:O,s:O?,s:O?,s:i,s:O?,s:O?}", "kind", json_object_get(record, "kind"), "severity",
                        json_object_get(record, "severity"), "subject", json_object_get(record, "subject"), "count", 0,
                        "first_ns", ts, "last_ns", ts);
        json_object_set_new(r->event_kinds, kind, row);
    }
    json_object_set_new(row, "count", json_integer(json_integer_value(json_object_get(row, "count")) + 1));
    json_object_set(row, "last_ns", ts);
    if (severity_of(record) > severity_of(row))
        json_object_set(row, "severity", json_object_get(record, "severity"));
}

int report_add(struct report *r, const char *line, size_t len, struct error *e)
{
    json_error_t bad;
    json_t *record = json_loadb(line, len, JSON_ALLOW_NUL, &bad);
    const char *type = json_string_value(json_object_get(record, "type"));

    if (type == NULL) {
        json_decref(record);
        return error_set(e, -EBADMSG, "line %llu is no record (%s)", (unsigned long long)r->n_records + 1,
                         record == NULL ? bad.text : "no type");
    }
    r->n_records++;
    if (strcmp(type, "flow") == 0) {
        add_flow(r, record);
    } else if (strcmp(type, "path") == 0) {
        json_t *row = row_of_path(json_incref(record));
        worst_offer(&r->paths, row, badness_of_scope(row));
    } else if (strcmp(type, "service") == 0) {
        json_t *row = row_of_service(json_incref(record));
        worst_offer(&r->services, row, badness_of_scope(row));
    } else if (strcmp(type, "event") == 0) {
        add_event(r, record);
    } else if (strcmp(type, "verdict") == 0) {
        json_array_append(r->verdicts, record);
    } else if (strcmp(type, "ledger") == 0) {
        json_array_append(r->ledgers, record);
    }
    json_decref(record);
    return 0;
}

/* ---- printing ---- */

void report_heading(FILE *out, const struct table_view *view, const char *title, const char *note)
{
    fputc('\n', out);
    term_put(out, view->colour, STYLE_BOLD, title);
    if (note != NULL && *note != '\0') {
        fputs("  ", out);
        term_put(out, view->colour, STYLE_DIM, note);
    }
    fputc('\n', out);
}

/* "Label       text", folded at the terminal's width under the text. */
static void put_labelled(FILE *out, const struct table_view *view, enum term_style style, const char *label,
                         const char *text)
{
    size_t width = view->width > 40 ? view->width : 100, column = LABEL_WIDTH;
    char word[512];

    fprintf(out, "%-*s", LABEL_WIDTH, label);
    for (bool first = true; *text != '\0'; first = false) {
        size_t n = strcspn(text, " ");
        snprintf(word, sizeof(word), "%.*s", (int)n, text);
        size_t w = text_width(word);
        if (!first && column + 1 + w > width) {
            fprintf(out, "\n%*s", LABEL_WIDTH, "");
            column = LABEL_WIDTH;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        term_put(out, view->colour, style, word);
        column += w;
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

/* Appends to a text of fixed size; what does not fit is left out. */
static void __attribute__((format(printf, 3, 4))) append(char *buf, size_t size, const char *format, ...)
{
    size_t used = strlen(buf);
    va_list ap;

    va_start(ap, format);
    vsnprintf(buf + used, size - used, format, ap);
    va_end(ap);
}

static void escaped(char *buf, size_t size, const json_t *text)
{
    const char *s = json_string_value(text);

    text_escape(buf, size, s ? s : "", s ? json_string_length(text) : 0);
}

static double number_at(const json_t *row, const char *key)
{
    return json_number_value(row_value(row, key));
}

static void put_notes(FILE *out, const struct table_view *view, const json_t *notes)
{
    char text[512];
    size_t i;
    json_t *note;

    json_array_foreach((json_t *)notes, i, note)
    {
        escaped(text, sizeof(text), note);
        put_labelled(out, view, STYLE_WARN, "  note", text);
    }
}

void report_verdict(FILE *out, const struct table_view *view, const json_t *verdict)
{
    char name[80], text[400] = "", percent[32];
    const json_t *both = row_value(verdict, "both_directions"), *gap = row_value(verdict, "capture_loss_pct");
    double copies = number_at(verdict, "duplicate_pct");
    bool truncated = json_is_true(row_value(verdict, "truncated"));

    escaped(name, sizeof(name), json_object_get(verdict, "mirror"));
    append(text, sizeof(text), "%s: %s, ", name,
           both == NULL         ? "direction unknown"
           : json_is_true(both) ? "both directions"
                                : "ONE DIRECTION ONLY");
    if (copies > 0)
        append(text, sizeof(text), "%s copies, ", format_percent(percent, sizeof(percent), copies, 100));
    else
        append(text, sizeof(text), "no copies, ");
    append(text, sizeof(text), "%s, ", truncated ? "packets cut short" : "packets whole");
    if (gap == NULL)
        append(text, sizeof(text), "capture loss unknown");
    else
        append(text, sizeof(text), "capture loss %s",
               format_percent(percent, sizeof(percent), json_number_value(gap), 100));
    bool good = json_is_true(both) && json_number_value(gap) <= 1;
    put_labelled(out, view, good ? STYLE_GOOD : STYLE_WARN, "Mirror", text);
    put_notes(out, view, json_object_get(verdict, "notes"));
}

void report_ledger(FILE *out, const struct table_view *view, const json_t *ledger)
{
    char text[800] = "", number[32], part[96];
    double offered = number_at(ledger, "offered"), processed = number_at(ledger, "processed"), dropped = 0;
    const char *separator = "";
    char drops[600] = "";
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(ledger, "drops"), name, value)
    {
        dropped += json_number_value(value);
        if (json_number_value(value) <= 0)
            continue;
        text_escape(part, sizeof(part), name, strlen(name));
        append(drops, sizeof(drops), "%s%s %s", separator, part,
               format_count(number, sizeof(number), (uint64_t)json_integer_value(value)));
        separator = ", ";
    }
    append(text, sizeof(text), "%s packets offered", format_count(number, sizeof(number), (uint64_t)offered));
    append(text, sizeof(text), " = %s processed", format_count(number, sizeof(number), (uint64_t)processed));
    append(text, sizeof(text), " + %s dropped%s%s%s", format_count(number, sizeof(number), (uint64_t)dropped),
           *drops ? " (" : "", drops, *drops ? ")" : "");
    bool adds_up = offered == processed + dropped;
    if (!adds_up)
        append(text, sizeof(text), ": DOES NOT ADD UP, please report this");
    put_labelled(out, view, adds_up ? STYLE_PLAIN : STYLE_BAD, "Ledger", text);
}

static void put_summary(FILE *out, const struct report *r, const struct table_view *view)
{
    char text[256], count[32], from[40], to[40], length[40];

    if (r->n_flows == 0) {
        put_labelled(out, view, STYLE_PLAIN, "Traffic", "no flows: nothing with an IP header");
        return;
    }
    snprintf(text, sizeof(text), "%s flows in %s, %s to %s", format_count(count, sizeof(count), r->n_flows),
             format_duration(length, sizeof(length), r->last_ns - r->first_ns),
             format_time(from, sizeof(from), r->first_ns, view->utc),
             format_time(to, sizeof(to), r->last_ns, view->utc));
    put_labelled(out, view, STYLE_PLAIN, "Traffic", text);
}

static void put_section(FILE *out, const struct table_view *view, const char *title, const struct column *columns,
                        const struct worst *w)
{
    char note[96] = "", shown[32], seen[32];
    struct error e;

    if (w->n_used == 0)
        return;
    if (w->n_seen > w->n_used)
        snprintf(note, sizeof(note), "%s of %s", format_count(shown, sizeof(shown), w->n_used),
                 format_count(seen, sizeof(seen), w->n_seen));
    report_heading(out, view, title, note);
    json_t *rows = worst_rows(w);
    if (table_print(out, columns, rows, view, &e) < 0)
        fprintf(out, "%s\n", e.text);
    json_decref(rows);
}

static void put_events(FILE *out, const struct report *r, const struct table_view *view)
{
    json_t *rows = json_array(), *row;
    struct table_view sorted = *view;
    const char *kind;
    struct error e;

    json_object_foreach(r->event_kinds, kind, row) json_array_append(rows, row);
    sorted.sort = "first";
    if (json_array_size(rows) > 0) {
        report_heading(out, view, "Events", "");
        if (table_print(out, kind_columns, rows, &sorted, &e) < 0)
            fprintf(out, "%s\n", e.text);
    }
    json_decref(rows);
}

void report_print(FILE *out, struct report *r, const struct table_view *view)
{
    size_t i;
    json_t *record;

    json_array_foreach(r->verdicts, i, record) report_verdict(out, view, record);
    json_array_foreach(r->ledgers, i, record) report_ledger(out, view, record);
    put_summary(out, r, view);
    put_section(out, view, "Top paths, worst first: loss by segment, RTT by side", path_columns, &r->paths);
    put_section(out, view, "Services", service_columns, &r->services);
    put_section(out, view, "Worst flows: loss and mean RTT by side of the tap", flow_columns, &r->flows);
    put_events(out, r, view);
}
