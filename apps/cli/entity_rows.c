/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What control keeps, as rows. The stored JSON is taken as it is (times in ns, 0 = not yet), and "derived" is added:
 * the fault in words, whose unit depends on its class, how long it lasted, and nulls where 0 means "not yet".
 */

#include "apps/cli/entity_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "apps/cli/report.h"
#include "common/timefmt.h"

#define EX COLUMN_EXTRA

const struct column incident_columns[] = {
    {"id", "ID", "id", COLUMN_TEXT, 0, "of the incident"},
    {"state", "STATE", "state", COLUMN_STATE, 0, "pending, open, acked, cleared, closed"},
    {"severity", "SEVERITY", "severity", COLUMN_STATE, 4, "info, minor, major or critical"},
    {"fault", "FAULT", "derived.fault", COLUMN_TEXT, 0, "what is wrong, in which direction or on which side"},
    {"value", "VALUE", "derived.value", COLUMN_TEXT, 4, "how much of it"},
    {"normal", "NORMAL", "derived.normal", COLUMN_TEXT, 5, "what was expected"},
    {"object", "OBJECT", "object", COLUMN_NAME, 0, "path or service"},
    {"onset", "SINCE", "onset_ns", COLUMN_TIME, 0, "first bad minute"},
    {"lasted", "LASTED", "derived.lasted_ns", COLUMN_DURATION, 5, "from the first to the last bad minute"},
    {"problem", "PROBLEM", "derived.problem", COLUMN_TEXT, 6, "the problem that it is an occurrence of"},
    {"ticket", "TICKET", "derived.ticket", COLUMN_TEXT, 7, "our ticket"},
    {"owner", "OWNER", "derived.owner", COLUMN_TEXT, EX, "who is in charge"},
    {"cleared", "CLEARED", "derived.cleared_ns", COLUMN_TIME, EX, "when it was over"},
    {"minutes", "BAD MIN", "bad_minutes", COLUMN_COUNT, EX, "bad minutes"},
    {"n", "N", "exposure_n", COLUMN_COUNT, EX, "packets, samples or attempts that it rests on"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

const struct column problem_columns[] = {
    {"id", "ID", "id", COLUMN_TEXT, 0, "of the problem"},
    {"state", "STATE", "state", COLUMN_STATE, 0, "candidate, confirmed, assigned, ..."},
    {"pattern", "WHEN", "pattern_text", COLUMN_TEXT, 0, "when it recurs"},
    {"fault", "FAULT", "derived.fault", COLUMN_TEXT, 0, "what is wrong, in which direction or on which side"},
    {"value", "VALUE", "derived.value", COLUMN_TEXT, 5, "how much of it, over all occurrences"},
    {"normal", "NORMAL", "derived.normal", COLUMN_TEXT, 7, "what was expected"},
    {"object", "OBJECT", "object", COLUMN_NAME, 0, "path or service"},
    {"hits", "HITS", "derived.hits", COLUMN_TEXT, 0, "occurred on so many of the observed dates"},
    {"p", "P", "derived.p", COLUMN_TEXT, 8, "probability that chance alone does this"},
    {"minutes", "MIN LOST", "minutes_lost", COLUMN_COUNT, 9, "bad minutes, all occurrences"},
    {"owner", "OWNER", "derived.owner", COLUMN_TEXT, 6, "who is in charge"},
    {"ticket", "TICKET", "derived.ticket", COLUMN_TEXT, 7, "our ticket"},
    {"first", "FIRST", "first_ns", COLUMN_TIME, EX, "first occurrence"},
    {"last", "LAST", "last_ns", COLUMN_TIME, EX, "last occurrence"},
    {"next", "NEXT DECISION", "next_decision", COLUMN_TEXT, EX, "what has to be decided"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

const struct column ticket_columns[] = {
    {"id", "ID", "id", COLUMN_TEXT, 0, "of the ticket here"},
    {"state", "STATE", "state", COLUMN_STATE, 0, "open or closed"},
    {"filed", "FILED", "derived.filed", COLUMN_TEXT, 0, "its id there, the system when it gives none, or 'dry run'"},
    {"title", "TITLE", "title", COLUMN_TEXT, 0, "as filed"},
    {"owner", "OWNER", "derived.owner", COLUMN_TEXT, 6, "who is in charge"},
    {"updates", "UPDATES", "derived.updates", COLUMN_COUNT, 8, "changes since it was made, all in this one ticket"},
    {"updated", "UPDATED", "updated_ns", COLUMN_TIME, 7, "last change, data time"},
    {"problem", "PROBLEM", "derived.problem", COLUMN_TEXT, EX, "what it is about"},
    {"severity", "SEVERITY", "severity", COLUMN_STATE, EX, "info, minor, major or critical"},
    {"connector", "CONNECTOR", "connector", COLUMN_TEXT, EX, "ticketing system"},
    {"url", "URL", "remote_url", COLUMN_TEXT, EX, "where it is"},
    {"body", "BODY", "body", COLUMN_TEXT, EX, "its text"},
    {NULL, NULL, NULL, COLUMN_TEXT, 0, NULL},
};

static const char *text_at(const json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));

    return s != NULL ? s : "";
}

static uint64_t ns_at(const json_t *row, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(row, key));

    return v > 0 ? (uint64_t)v : 0;
}

/* "" and 0 stand for "none" in what control stores. */
static json_t *text_or_null(const char *text)
{
    return *text != '\0' ? json_string(text) : json_null();
}

static json_t *ns_or_null(uint64_t ns)
{
    return ns > 0 ? json_integer((json_int_t)ns) : json_null();
}

/* A measured value in the unit of its fault class: shares are shown as percent, latencies are in ns, loads in bit/s. */
static void format_value(char *buf, size_t size, const char *fault, double v)
{
    if (strcmp(fault, fault_class_name(FAULT_LATENCY)) == 0)
        format_latency_us(buf, size, v / 1e3);
    else if (strcmp(fault, fault_class_name(FAULT_LOAD)) == 0)
        format_rate_bits(buf, size, v);
    else
        format_percent(buf, size, v, 1);
}

/* A number of the row in the unit of its fault; 0 stands for "not known". */
static json_t *value_text(const json_t *row, const char *key)
{
    double v = json_number_value(json_object_get(row, key));
    char text[32];

    if (v <= 0)
        return json_null();
    format_value(text, sizeof(text), text_at(row, "fault"), v);
    return json_string(text);
}

static void derive_fault(json_t *d, const json_t *row)
{
    json_object_set_new(d, "fault", json_sprintf("%s %s", text_at(row, "fault"), text_at(row, "direction")));
    json_object_set_new(d, "value", value_text(row, "value"));
    json_object_set_new(d, "normal", value_text(row, "baseline"));
}

static void derive_incident(json_t *d, const json_t *row)
{
    uint64_t onset = ns_at(row, "onset_ns"), end = ns_at(row, "end_ns");

    derive_fault(d, row);
    json_object_set_new(d, "lasted_ns", ns_or_null(end > onset ? end - onset : 0));
    json_object_set_new(d, "cleared_ns", ns_or_null(ns_at(row, "cleared_ns")));
    json_object_set_new(d, "problem", text_or_null(text_at(row, "problem")));
    json_object_set_new(d, "ticket", text_or_null(text_at(row, "ticket")));
}

static void derive_problem(json_t *d, const json_t *row)
{
    double p = json_number_value(json_object_get(row, "p_value"));

    derive_fault(d, row);
    json_object_set_new(d, "hits",
                        json_sprintf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT,
                                     json_integer_value(json_object_get(row, "occurrences")),
                                     json_integer_value(json_object_get(row, "exposures"))));
    json_object_set_new(d, "p", p > 0 ? json_sprintf("%.1g", p) : json_null());
    json_object_set_new(d, "ticket", text_or_null(text_at(row, "ticket")));
}

static void derive_ticket(json_t *d, const json_t *row)
{
    json_int_t version = json_integer_value(json_object_get(row, "version"));
    bool dry = json_integer_value(json_object_get(row, "dry_run")) != 0;

    const char *there = text_at(row, "remote_id");

    there = there[0] != '\0' ? there : text_at(row, "connector");
    json_object_set_new(d, "filed", dry ? json_string("dry run") : text_or_null(there));
    json_object_set_new(d, "updates", json_integer(version > 0 ? version - 1 : 0));
    json_object_set_new(d, "problem", text_or_null(text_at(row, "problem")));
}

struct collection {
    enum entity_kind kind;
    json_t *rows;
};

static int collect(void *ctx, const void *entity)
{
    struct collection *c = ctx;
    char *text = entity_encode(c->kind, entity);
    json_t *row = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL, *d = json_object();

    free(text);
    if (row == NULL || d == NULL) {
        json_decref(row);
        json_decref(d);
        return -ENOMEM;
    }
    if (c->kind == ENTITY_INCIDENT)
        derive_incident(d, row);
    else if (c->kind == ENTITY_PROBLEM)
        derive_problem(d, row);
    else if (c->kind == ENTITY_TICKET)
        derive_ticket(d, row);
    json_object_set_new(d, "owner", text_or_null(text_at(row, "owner")));
    json_object_set_new(row, "derived", d);
    return json_array_append_new(c->rows, row) == 0 ? 0 : -ENOMEM;
}

json_t *entity_rows(struct store *s, enum entity_kind kind, struct error *e)
{
    struct collection c = {.kind = kind, .rows = json_array()};
    int r = c.rows != NULL ? entities_each(s, kind, collect, &c, e) : -ENOMEM;

    if (r == -ENOMEM)
        error_set(e, r, "out of memory");
    if (r >= 0)
        return c.rows;
    json_decref(c.rows);
    return NULL;
}

/* Removes the incidents that were over before the span or began after it. */
static void keep_span(json_t *rows, struct entity_span span)
{
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const json_t *row = json_array_get(rows, i);
        if (ns_at(row, "onset_ns") >= span.until_ns || ns_at(row, "end_ns") <= span.from_ns)
            json_array_remove(rows, i);
    }
}

int entity_sections(FILE *out, struct store *s, const struct table_view *view, struct entity_span span, struct error *e)
{
    static const struct {
        enum entity_kind kind;
        const char *title, *sort;
        const struct column *columns;
    } sections[] = {
        {ENTITY_INCIDENT, "Incidents in this time", "-onset", incident_columns},
        {ENTITY_PROBLEM, "Problems: what recurs", "-last", problem_columns},
        {ENTITY_TICKET, "Tickets", "-updated", ticket_columns},
    };
    struct table_view part = *view;
    size_t shown = 0;
    int r = 0;

    part.limit = REPORT_ROWS;
    for (size_t i = 0; r == 0 && i < sizeof(sections) / sizeof(sections[0]); i++) {
        json_t *rows = entity_rows(s, sections[i].kind, e);
        if (rows == NULL)
            return -EIO;
        if (sections[i].kind == ENTITY_INCIDENT)
            keep_span(rows, span);
        shown += json_array_size(rows);
        if (json_array_size(rows) > 0) {
            report_heading(out, view, sections[i].title, "");
            part.sort = sections[i].sort;
            r = table_print(out, sections[i].columns, rows, &part, e);
        }
        json_decref(rows);
    }
    if (shown == 0)
        report_heading(out, view, "Incidents, problems, tickets", "none");
    return r;
}
