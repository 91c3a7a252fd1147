/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The texts of tickets: values for the gaps of templates, from entities and histories.
 *
 * Each value is one line (content_value's rules: no control characters, no double blanks, so that none can pass for
 * another line or cell), but for the evidence, suspects and similar problems, which are lines made here. Names of sites
 * are cut at 30 characters so that a title of 120 holds all it should; what is longer still ends in an ellipsis. A
 * title never begins like a formula of a spreadsheet.
 *
 * The test's numbers are those of the last weekly look, and the text says of which; the look brings the text that is
 * kept here up to date (ticket_refresh_problem), so that ticket and problem always show the same.
 */

#include "control/ticket_text.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/timefmt.h"
#include "control/chart.h"
#include "control/content.h"
#include "control/internal.h"
#include "control/template.h"
#include "templates.h"

#define TITLE_CHARS    120
#define SITE_CHARS     30
#define EVIDENCE_LINES 8
#define SIMILAR_LINES  3
#define LINE_BYTES     640
#define BLOCK_BYTES    2600
#define FILE_BYTES     65536u

struct ticket_templates {
    struct template *title[TICKET_TEMPLATE_COUNT], *body[TICKET_TEMPLATE_COUNT];
};

#define X(symbol, name, text) name,
static const char *const gap_names[TICKET_GAPS_N + 1] = {TICKET_GAPS(X) NULL};
#undef X
#define X(symbol, name) name,
static const char *const template_names[TICKET_TEMPLATE_COUNT] = {TICKET_TEMPLATES(X)};
#undef X

/* --- templates --- */

/* Remarks and empty lines at the top, then the title's line, then the text. */
static int parse_file(struct ticket_templates *t, int i, const char *text, size_t len, const char *name,
                      struct error *e)
{
    size_t at = 0, end;

    for (;; at = end + 1) {
        const char *nl = memchr(text + at, '\n', len - at);
        end = nl != NULL ? (size_t)(nl - text) : len;
        if (end > at && strncmp(text + at, "{{#", 3) != 0)
            break;
        if (nl == NULL)
            return error_set(e, -EINVAL, "%.150s: there is no title", name);
    }
    size_t body = end < len ? end + 1 : len;
    while (body < len && text[body] == '\n')
        body++;
    if (body == len)
        return error_set(e, -EINVAL, "%.150s: there is no text behind the title", name);
    int rc = template_parse(text + at, end - at, name, gap_names, &t->title[i], e);
    return rc == 0 ? template_parse(text + body, len - body, name, gap_names, &t->body[i], e) : rc;
}

/* 1 when the file is there, 0 when not. */
static int load_file(struct ticket_templates *t, int i, const char *dir, struct error *e)
{
    char path[1200];
    char *text = malloc(FILE_BYTES + 1);

    if (text == NULL)
        return error_set(e, -ENOMEM, "no memory for templates");
    snprintf(path, sizeof(path), "%s/%s.txt", dir, template_names[i]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, FILE_BYTES + 1);
    int rc = n < 0 ? (errno == ENOENT ? 0 : error_set(e, -errno, "%.150s: %s", path, strerror(errno))) : 1;
    if (fd >= 0)
        close(fd);
    if (rc == 1) {
        rc = parse_file(t, i, text, (size_t)n, path, e);
        rc = rc == 0 ? 1 : rc;
    }
    free(text);
    return rc;
}

int ticket_templates_load(const char *dir, struct ticket_templates **ret, struct error *e)
{
    struct ticket_templates *t = calloc(1, sizeof(*t));
    int rc = t != NULL ? 0 : error_set(e, -ENOMEM, "no memory for templates");

    for (int i = 0; rc >= 0 && i < TICKET_TEMPLATE_COUNT; i++) {
        rc = dir[0] != '\0' ? load_file(t, i, dir, e) : 0;
        if (rc == 0)
            rc = parse_file(t, i, builtin_templates[i], strlen(builtin_templates[i]), template_names[i], e);
    }
    if (rc < 0)
        ticket_templates_free(t);
    else
        *ret = t;
    return rc < 0 ? rc : 0;
}

void ticket_templates_free(struct ticket_templates *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < TICKET_TEMPLATE_COUNT; i++) {
        template_free(t->title[i]);
        template_free(t->body[i]);
    }
    free(t);
}

/* --- values --- */

/* Values being collected. Owner: one compose call. */
struct words {
    const char *value[TICKET_GAPS_N];
    char line[TICKET_GAPS_N][LINE_BYTES];
    char evidence[BLOCK_BYTES], suspects[BLOCK_BYTES], similar[BLOCK_BYTES];
};

/* Bounded text; what does not fit is left out as a whole. */
static void append(char *buf, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *buf, size_t size, const char *format, ...)
{
    size_t len = strlen(buf);
    va_list args;

    va_start(args, format);
    int n = vsnprintf(buf + len, size - len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= size - len)
        buf[len] = '\0';
}

/* A value of one line. */
static void set(struct words *w, enum ticket_gap gap, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void set(struct words *w, enum ticket_gap gap, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    content_value(w->line[gap], sizeof(w->line[gap]), text);
    w->value[gap] = w->line[gap];
}

static struct words *words_new(void)
{
    struct words *w = calloc(1, sizeof(*w));

    for (int i = 0; w != NULL && i < TICKET_GAPS_N; i++)
        w->value[i] = w->line[i];
    if (w != NULL) {
        w->value[TICKET_GAP_EVIDENCE] = w->evidence;
        w->value[TICKET_GAP_SUSPECTS] = w->suspects;
        w->value[TICKET_GAP_SIMILAR] = w->similar;
    }
    return w;
}

/* The two sides of a path "A~B"; for other scopes both are the object. */
struct sides {
    char a[SITE_CHARS * 4 + 4], b[SITE_CHARS * 4 + 4];
    bool path;
};

static void clip_name(char *ret, size_t size, const char *from, size_t len)
{
    char name[WINDOW_NAME_BYTES];

    snprintf(name, sizeof(name), "%.*s", (int)len, from);
    snprintf(ret, size, "%s", content_clip(name, SITE_CHARS));
}

static void split_sides(struct sides *s, enum fault_scope scope, const char *object)
{
    const char *tilde = scope == SCOPE_PATH ? strchr(object, '~') : NULL;

    s->path = tilde != NULL;
    if (tilde == NULL)
        tilde = object + strlen(object);
    clip_name(s->a, sizeof(s->a), object, (size_t)(tilde - object));
    if (s->path)
        clip_name(s->b, sizeof(s->b), tilde + 1, strlen(tilde + 1));
    else
        memcpy(s->b, s->a, sizeof(s->a));
}

static void set_where(struct words *w, const struct sides *s)
{
    if (s->path)
        set(w, TICKET_GAP_WHERE, "%s \xe2\x86\x94 %s", s->a, s->b);
    else
        set(w, TICKET_GAP_WHERE, "%s", s->a);
}

static void set_what(struct words *w, const struct sides *s, enum fault_class fault, enum fault_direction direction)
{
    const char *towards = direction == DIRECTION_A2B || direction == DIRECTION_SIDE_B ? s->b : s->a;

    switch (fault) {
    case FAULT_LOSS:
        set(w, TICKET_GAP_WHAT, "loss towards %s", towards);
        break;
    case FAULT_CONNECT:
        set(w, TICKET_GAP_WHAT, "failed connections");
        break;
    case FAULT_LATENCY:
        set(w, TICKET_GAP_WHAT, "high latency on the side of %s", towards);
        break;
    case FAULT_LOAD:
        set(w, TICKET_GAP_WHAT, "unusual load towards %s", towards);
        break;
    case FAULT_CLASS_COUNT:
        break;
    }
}

static const char *value_name(enum fault_class fault)
{
    switch (fault) {
    case FAULT_LOSS:
        return "loss";
    case FAULT_CONNECT:
        return "failed";
    case FAULT_LATENCY:
        return "median RTT";
    case FAULT_LOAD:
        return "load";
    case FAULT_CLASS_COUNT:
        break;
    }
    return "";
}

static const char *exposure_name(enum fault_class fault)
{
    switch (fault) {
    case FAULT_LOSS:
        return "packets";
    case FAULT_CONNECT:
        return "attempts";
    case FAULT_LATENCY:
        return "samples";
    case FAULT_LOAD:
        return "bytes";
    case FAULT_CLASS_COUNT:
        break;
    }
    return "";
}

/* Lost packets by side, of a direction. */
struct lost {
    uint64_t up, down, unknown;
};

static void set_side(struct words *w, const struct sides *s, enum fault_class fault, enum fault_direction direction,
                     struct lost lost)
{
    const char *from = direction == DIRECTION_A2B ? s->a : s->b, *to = direction == DIRECTION_A2B ? s->b : s->a;
    double total = (double)(lost.up + lost.down + lost.unknown);
    char unknown[64] = "";

    if (fault == FAULT_LATENCY && (direction == DIRECTION_SIDE_A || direction == DIRECTION_SIDE_B))
        set(w, TICKET_GAP_SIDE, "between the tap and %s.", direction == DIRECTION_SIDE_A ? s->a : s->b);
    if (fault != FAULT_LOSS || total <= 0)
        return;
    if (lost.unknown > 0)
        snprintf(unknown, sizeof(unknown), ", %.0f %% on an unknown side", 100 * (double)lost.unknown / total);
    set(w, TICKET_GAP_SIDE,
        "of %.0f lost packets %.0f %% were lost between %s and the tap, %.0f %% between the tap and %s%s.", total,
        100 * (double)lost.up / total, from, 100 * (double)lost.down / total, to, unknown);
}

/* The table; for a problem only the occurrences of its pattern. */
static void set_evidence(struct words *w, const struct entity_problem *p, const struct history *h,
                         enum fault_class fault)
{
    char from[32], to[32], value[64], expected[64];
    uint32_t shown = 0;

    append(w->evidence, sizeof(w->evidence), "  %-16s  %-16s  %7s  %10s  %10s  %10s", "from", "to", "minutes",
           value_name(fault), "expected", exposure_name(fault));
    for (uint32_t i = h->n; i > 0 && shown < EVIDENCE_LINES; i--) {
        const struct occurrence *o = &h->item[i - 1];
        if (p != NULL && !problem_matches(p, o->onset_ns))
            continue;
        append(w->evidence, sizeof(w->evidence), "\n  %-16s  %-16s  %7u  %10s  %10s  %10llu",
               local_format(from, sizeof(from), o->onset_ns, 0), local_format(to, sizeof(to), o->end_ns, 0),
               o->bad_minutes, chart_value_text(value, fault, (double)o->value),
               chart_value_text(expected, fault, (double)o->baseline), (unsigned long long)o->exposure_n);
        shown++;
    }
}

static const struct entity_register *change_by_id(const struct control *c, const char *id, size_t len)
{
    for (size_t i = 0; i < c->registers[REGISTER_CHANGE].n; i++) {
        const struct entity_register *r = &c->registers[REGISTER_CHANGE].item[i]->e;
        if (strlen(r->id) == len && memcmp(r->id, id, len) == 0)
            return r;
    }
    return NULL;
}

/* "CHG-3 p=0.0012, CHG-1 p=0.03" as a list with titles and times. */
static void set_suspects(struct control *c, struct words *w, const char *suspects)
{
    char when[32], line[LINE_BYTES], safe[LINE_BYTES];

    for (const char *p = suspects; *p != '\0';) {
        size_t whole = strcspn(p, ","), id = strcspn(p, " ,");
        const struct entity_register *r = change_by_id(c, p, id);
        snprintf(line, sizeof(line), "%.*s: %s%s%s (by chance%.*s)", (int)id, p, r != NULL ? r->title : "change",
                 r != NULL ? ", " : "", r != NULL ? local_format(when, sizeof(when), r->start_ns, 0) : "",
                 (int)(whole - id), p + id);
        append(w->suspects, sizeof(w->suspects), "%s- %s", w->suspects[0] != '\0' ? "\n" : "",
               content_value(safe, sizeof(safe), line));
        p += whole;
        p += strspn(p, ", ");
    }
}

/* The same object, or a path that ends at one of its sites. */
static bool is_near(const char *a, const char *b)
{
    const char *tilde = strchr(a, '~');
    size_t len = tilde != NULL ? (size_t)(tilde - a) : 0;

    if (strcmp(a, b) == 0)
        return true;
    const char *other = strchr(b, '~');
    if (tilde == NULL || other == NULL)
        return false;
    size_t b_len = (size_t)(other - b);
    return (len == b_len && memcmp(a, b, len) == 0) || strcmp(tilde + 1, other + 1) == 0;
}

/* Earlier problems of this kind of fault on the object or next to it, the latest first, and what fixed them. */
static void set_similar(struct control *c, struct words *w, const char *id, const char *object, enum fault_class fault)
{
    char when[32], line[LINE_BYTES], safe[LINE_BYTES];
    unsigned n = 0;

    for (int same = 1; same >= 0; same--) { /* the object itself before its neighbours */
        for (size_t i = c->problems.n; i > 0 && n < SIMILAR_LINES; i--) {
            const struct entity_problem *q = &c->problems.item[i - 1]->e;
            if (strcmp(q->id, id) == 0 || q->fault != fault || (q->state != PROBLEM_CLOSED && q->fix[0] == '\0') ||
                !is_near(object, q->object) || (strcmp(object, q->object) == 0) != same)
                continue;
            snprintf(line, sizeof(line), "%s: %.120s, %s, %s%s; %s%s%s%s", q->id, q->object, q->pattern_text,
                     problem_state_name(q->state),
                     q->closed_ns != 0 ? local_format(when, sizeof(when), q->closed_ns, 0) : "",
                     q->fix[0] != '\0' ? "fixed by: " : "nobody said what fixed it", q->fix,
                     q->change[0] != '\0' ? ", change " : "", q->change);
            append(w->similar, sizeof(w->similar), "%s- %s", n > 0 ? "\n" : "",
                   content_value(safe, sizeof(safe), line));
            n++;
        }
    }
}

static void set_slot(struct words *w, const struct entity_problem *e)
{
    const char *days = NULL;

    set(w, TICKET_GAP_PATTERN, "%s", e->pattern_text);
    if (e->pattern == PATTERN_WEEKLY_SLOT)
        days = weekday_plural((uint8_t)e->weekday);
    else if (e->pattern == PATTERN_WEEKDAYS)
        days = "weekdays";
    else if (e->pattern == PATTERN_WEEKENDS)
        days = "weekends";
    else if (e->pattern == PATTERN_DAILY)
        days = "daily";
    if (days == NULL)
        set(w, TICKET_GAP_SLOT, "%s", e->pattern_text);
    else
        set(w, TICKET_GAP_SLOT, "%s %02u:00\xe2\x80\x93%02u:00", days, (unsigned)e->from_hour % 24,
            e->to_hour % 24 == 0 ? 24 : (unsigned)e->to_hour % 24);
}

static void set_hits(struct words *w, const struct entity_problem *e)
{
    const char *unit = e->pattern == PATTERN_WEEKLY_SLOT ? "weeks" : "days";
    unsigned long long k = e->occurrences, n = e->exposures;

    if (n == 0) {
        set(w, TICKET_GAP_HITS, "%llu times", k);
        set(w, TICKET_GAP_COUNT, "%llu times", k);
        return;
    }
    set(w, TICKET_GAP_HITS, "%llu of %llu %s", k, n, unit);
    set(w, TICKET_GAP_COUNT, "in %llu of %llu observed %s", k, n, unit);
}

static void set_sure(struct words *w, const struct entity_problem *e)
{
    char look[48] = "", date[32];

    if (e->looked_ns != 0)
        snprintf(look, sizeof(look), " (look of %.10s)", local_format(date, sizeof(date), e->looked_ns, 0));
    if (e->evidence[0] != '\0') {
        set(w, TICKET_GAP_SURE, "%s%s.", e->evidence, look);
        return;
    }
    set(w, TICKET_GAP_SURE,
        "%.0f %% of the slots against %.1f %% of all days at these hours (lift %.1f); by chance p = %.2g%s.",
        100 * e->hit_rate, e->dates_seen > 0 ? 100.0 * (double)e->dates_hit / (double)e->dates_seen : 0, e->lift,
        e->p_value, look);
}

/* What clean slots are worth: with the hit rate of before, so many would be clean by chance. */
static void set_proof(struct words *w, const struct entity_problem *e)
{
    char since[48], last[48];
    unsigned long long clean = e->clean_exposures, needed = e->clean_needed;

    if (e->state != PROBLEM_VERIFYING && e->state != PROBLEM_CLOSED)
        return;
    local_format(since, sizeof(since), e->verify_from_ns, 1);
    local_format(last, sizeof(last), e->last_ns, 1);
    if (e->hit_rate > 0 && e->hit_rate < 1 && clean > 0)
        set(w, TICKET_GAP_PROOF,
            "%llu of %llu clean slots since %s; the last fault was on %s. With the earlier hit rate of %.0f %%, so "
            "many "
            "clean slots in a row would have a chance of %.2g.",
            clean, needed, since, last, 100 * e->hit_rate, pow(1 - e->hit_rate, (double)clean));
    else
        set(w, TICKET_GAP_PROOF, "%llu of %llu clean slots since %s; the last fault was on %s.", clean, needed, since,
            last);
}

static void set_change(struct control *c, struct words *w, const char *change)
{
    const struct entity_register *r = change_by_id(c, change, strlen(change));
    char when[32];

    if (r != NULL)
        set(w, TICKET_GAP_CHANGE, "%s: %s, %s", change, r->title, local_format(when, sizeof(when), r->start_ns, 0));
    else
        set(w, TICKET_GAP_CHANGE, "%s", change);
}

static void render(const struct control *c, struct ticket *t, enum ticket_template which, const struct words *w)
{
    char title[1024];

    template_render(c->templates->title[which], w->value, title, sizeof(title));
    content_line(t->e.title, sizeof(t->e.title), title);
    content_clip(t->e.title, TITLE_CHARS);
    template_render(c->templates->body[which], w->value, t->e.body, sizeof(t->e.body));
}

static void collect_problem(struct control *c, struct words *w, const struct ticket *t, const struct entity_problem *e,
                            const struct history *h)
{
    char when[64], a[64], b[64];
    struct sides s;

    split_sides(&s, e->scope, e->object);
    set_where(w, &s);
    set_what(w, &s, e->fault, e->direction);
    set_slot(w, e);
    set_hits(w, e);
    set(w, TICKET_GAP_IMPACT, "%llu bad minutes; %s %s on average in the bad minutes, at worst %s, over %llu %s.",
        (unsigned long long)e->minutes_lost, value_name(e->fault), chart_value_text(a, e->fault, e->value),
        chart_value_text(b, e->fault, e->peak), (unsigned long long)e->exposure_n, exposure_name(e->fault));
    set_side(w, &s, e->fault, e->direction,
             (struct lost){e->lost_upstream_pkts, e->lost_downstream_pkts, e->lost_unknown_pkts});
    set(w, TICKET_GAP_SINCE, "%s", local_format(when, sizeof(when), e->first_ns, 1));
    set(w, TICKET_GAP_ONSET, "%s", local_format(when, sizeof(when), e->first_ns, 0));
    set(w, TICKET_GAP_LATEST, "%s", local_format(when, sizeof(when), e->last_ns, 1));
    set_sure(w, e);
    set(w, TICKET_GAP_SEVERITY, "%s", event_severity_name(e->severity));
    set(w, TICKET_GAP_STATE, "%s", problem_state_name(e->state));
    set(w, TICKET_GAP_OWNER, "%s", e->owner[0] != '\0' ? e->owner : "nobody yet");
    if (e->failed_fixes > 0)
        set(w, TICKET_GAP_REASON, "(failed fixes: %llu) %s", (unsigned long long)e->failed_fixes, e->reason);
    else
        set(w, TICKET_GAP_REASON, "%s", e->reason);
    set_change(c, w, e->change);
    set(w, TICKET_GAP_FIX, "%s", e->fix);
    set_proof(w, e);
    set_evidence(w, e, h, e->fault);
    set_suspects(c, w, e->suspects);
    set_similar(c, w, e->id, e->object, e->fault);
    set(w, TICKET_GAP_DECISION, "%s", e->next_decision);
    set(w, TICKET_GAP_COMMAND, "spanward problems %s, spanward ticket show %s", e->id, t->e.id);
    set(w, TICKET_GAP_TICKET, "%s", t->e.id);
    set(w, TICKET_GAP_ID, "%s", e->id);
}

int ticket_compose_problem(struct control *c, struct ticket *t, const struct entity_problem *e, const struct history *h)
{
    struct words *w = words_new();

    if (w == NULL)
        return -ENOMEM;
    collect_problem(c, w, t, e, h);
    render(c, t, TICKET_TEMPLATE_PROBLEM, w);
    free(w);
    return 0;
}

char *ticket_verified_text(struct control *c, const struct ticket *t, const struct entity_problem *e,
                           const struct history *h)
{
    struct words *w = words_new();
    char *text = w != NULL ? malloc(sizeof(t->e.body)) : NULL;

    if (text != NULL) {
        collect_problem(c, w, t, e, h);
        template_render(c->templates->body[TICKET_TEMPLATE_VERIFIED], w->value, text, sizeof(t->e.body));
    }
    free(w);
    return text;
}

int ticket_compose_incident(struct control *c, struct ticket *t, const struct entity_incident *e,
                            const struct history *h)
{
    char when[64], a[64], b[64];
    struct words *w = words_new();
    struct sides s;

    if (w == NULL)
        return -ENOMEM;
    split_sides(&s, e->scope, e->object);
    set_where(w, &s);
    set_what(w, &s, e->fault, e->direction);
    set(w, TICKET_GAP_SINCE, "%s", local_format(when, sizeof(when), e->onset_ns, 1));
    set(w, TICKET_GAP_ONSET, "%s", local_format(when, sizeof(when), e->onset_ns, 0));
    set(w, TICKET_GAP_LATEST, "%s", w->value[TICKET_GAP_SINCE]);
    if (h->n > 1)
        set(w, TICKET_GAP_OCCURRENCE, "%u", h->n);
    set(w, TICKET_GAP_SEVERITY, "%s", event_severity_name(t->e.severity));
    set(w, TICKET_GAP_CAUSE, "%s", e->cause);
    set(w, TICKET_GAP_IMPACT, "%llu bad minutes so far; %s %s, at worst %s, over %llu %s.",
        (unsigned long long)e->bad_minutes, value_name(e->fault), chart_value_text(a, e->fault, e->value),
        chart_value_text(b, e->fault, e->peak), (unsigned long long)e->exposure_n, exposure_name(e->fault));
    set_side(w, &s, e->fault, e->direction,
             (struct lost){e->lost_upstream_pkts, e->lost_downstream_pkts, e->lost_unknown_pkts});
    set(w, TICKET_GAP_STATE, "%s", incident_state_name(e->state));
    set(w, TICKET_GAP_OWNER, "%s", e->owner[0] != '\0' ? e->owner : "nobody yet");
    set_change(c, w, e->change);
    set_evidence(w, NULL, h, e->fault);
    set_suspects(c, w, e->suspects);
    set_similar(c, w, "", e->object, e->fault);
    set(w, TICKET_GAP_DECISION, "%s", e->state >= INCIDENT_CLEARED ? "none: it has cleared" : "who takes it?");
    set(w, TICKET_GAP_COMMAND, "spanward incidents %s, spanward ticket show %s", e->id, t->e.id);
    set(w, TICKET_GAP_TICKET, "%s", t->e.id);
    set(w, TICKET_GAP_ID, "%s", e->id);
    render(c, t, TICKET_TEMPLATE_INCIDENT, w);
    free(w);
    return 0;
}

/* --- charts --- */

/* The occurrences of a line in the order of time; of a problem those of its pattern. malloc'd. */
static struct chart_point *points_of(const struct history *h, const struct entity_problem *p, size_t *ret_n)
{
    struct chart_point *list = malloc((h->n + 1) * sizeof(*list));
    size_t n = 0;

    for (uint32_t i = 0; list != NULL && i < h->n; i++) {
        const struct occurrence *o = &h->item[i];
        struct local_time t;
        if (p != NULL && !problem_matches(p, o->onset_ns))
            continue;
        local_from_ns(o->onset_ns, &t);
        uint64_t hours = o->end_ns > o->onset_ns ? (o->end_ns - o->onset_ns) / (3600 * NS_PER_S) + 1 : 1;
        list[n] = (struct chart_point){.onset_ns = o->onset_ns,
                                       .value = (double)o->value,
                                       .expected = (double)o->baseline,
                                       .n = o->exposure_n,
                                       .hour_of_week = t.hour_of_week,
                                       .hours = (uint16_t)(hours < HOURS_PER_WEEK ? hours : HOURS_PER_WEEK)};
        n++;
    }
    *ret_n = n;
    return list;
}

void ticket_charts(struct control *c, const struct entity_ticket *t, char *ret_svg[TICKET_CHARTS])
{
    enum metric m;
    struct control_object *o = control_find_line(c, t->fingerprint, &m);
    const struct problem *p = problem_find(c, t->problem);
    size_t n = 0;

    for (unsigned i = 0; i < TICKET_CHARTS; i++)
        ret_svg[i] = NULL;
    if (o == NULL)
        return;
    const struct history *h = &o->line[m].history;
    struct chart_point *all = points_of(h, NULL, &n);
    if (all != NULL && n > 0)
        ret_svg[0] = chart_week(t->title, all, n);
    free(all);
    struct chart_point *some = points_of(h, p != NULL ? &p->e : NULL, &n);
    if (some != NULL && n > 0)
        ret_svg[1] = chart_values(t->title, metric_info[m].fault, some, n);
    free(some);
}
