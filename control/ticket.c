/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Tickets: what people read, and when it is worth telling them.
 *
 * A ticket belongs to a fingerprint, not to an incident: the next occurrence updates it. A problem adopts the ticket of
 * its fingerprints and speaks from then on. Incidents below major, members of another incident and flapping ones say
 * nothing. The title says where, what and when it recurs in at most 120 characters; the body is plain text of fixed
 * order: what, impact, side of the tap, since when, how sure, evidence by occurrence, the decision asked for.
 *
 * Nothing is sent here: a changed text becomes one row of the outbox. An unchanged one (by hash) becomes nothing.
 */

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"

#define TITLE_CHARS    120
#define SITE_CHARS     30
#define EVIDENCE_LINES 8
#define NS_PER_MIN     (60 * NS_PER_S)

/* Bounded text that is never cut within a UTF-8 character. */
struct text {
    char *buf;
    size_t len, size;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(t->buf + t->len, t->size - t->len, format, args);
    va_end(args);
    if (n < 0)
        return;
    t->len += (size_t)n;
    if (t->len >= t->size) {
        t->len = t->size - 1;
        while (t->len > 0 && ((unsigned char)t->buf[t->len] & 0xC0) == 0x80)
            t->len--;
        /* buf[len] may begin a character whose rest is gone */
        if (t->len > 0 && (unsigned char)t->buf[t->len - 1] >= 0xC0)
            t->len--;
        t->buf[t->len] = '\0';
    }
}

/* Copies at most `chars` characters; a longer text ends in an ellipsis. */
static void clip(char *ret, size_t size, const char *from, size_t from_len, size_t chars)
{
    size_t out = 0, n = 0, cut = 0;

    for (size_t i = 0; i < from_len;) {
        size_t len = 1;
        while (i + len < from_len && ((unsigned char)from[i + len] & 0xC0) == 0x80)
            len++;
        if (n + 1 == chars)
            cut = out;
        if (n == chars || out + len + 4 > size) {
            out = n == chars ? cut : out;
            memcpy(ret + out, "\xe2\x80\xa6", 3);
            out += 3;
            break;
        }
        memcpy(ret + out, from + i, len);
        out += len;
        n++;
        i += len;
    }
    ret[out] = '\0';
}

/* The two sides of a path "A~B"; for other scopes both are the object. */
struct sides {
    char a[SITE_CHARS * 4 + 4], b[SITE_CHARS * 4 + 4];
    bool path;
};

static void split_sides(struct sides *s, enum fault_scope scope, const char *object)
{
    const char *tilde = scope == SCOPE_PATH ? strchr(object, '~') : NULL;

    s->path = tilde != NULL;
    if (tilde == NULL)
        tilde = object + strlen(object);
    clip(s->a, sizeof(s->a), object, (size_t)(tilde - object), SITE_CHARS);
    if (s->path)
        clip(s->b, sizeof(s->b), tilde + 1, strlen(tilde + 1), SITE_CHARS);
    else
        memcpy(s->b, s->a, sizeof(s->a));
}

static void add_where(struct text *t, const struct sides *s)
{
    if (s->path)
        add(t, "%s \xe2\x86\x94 %s", s->a, s->b);
    else
        add(t, "%s", s->a);
}

static void add_what(struct text *t, const struct sides *s, enum fault_class fault, enum fault_direction direction)
{
    const char *towards = direction == DIRECTION_A2B || direction == DIRECTION_SIDE_B ? s->b : s->a;

    switch (fault) {
    case FAULT_LOSS:
        add(t, "loss towards %s", towards);
        break;
    case FAULT_CONNECT:
        add(t, "failed connections");
        break;
    case FAULT_LATENCY:
        add(t, "high latency on the side of %s", towards);
        break;
    case FAULT_LOAD:
        add(t, "unusual load towards %s", towards);
        break;
    case FAULT_CLASS_COUNT:
        break;
    }
}

static void add_value(struct text *t, enum fault_class fault, double value)
{
    char buf[64];

    switch (fault) {
    case FAULT_LOSS:
    case FAULT_CONNECT:
        add(t, "%.2f %%", value * 100);
        break;
    case FAULT_LATENCY:
        add(t, "%s", format_latency_us(buf, sizeof(buf), value / 1000));
        break;
    case FAULT_LOAD:
        add(t, "%s", format_rate_bits(buf, sizeof(buf), value));
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

static void add_side(struct text *t, const struct sides *s, enum fault_class fault, enum fault_direction direction,
                     uint64_t up, uint64_t down, uint64_t unknown)
{
    const char *from = direction == DIRECTION_A2B ? s->a : s->b;
    const char *to = direction == DIRECTION_A2B ? s->b : s->a;
    double total = (double)(up + down + unknown);

    if (fault == FAULT_LATENCY) {
        add(t, "Side of the tap: between the tap and %s.\n", direction == DIRECTION_SIDE_A ? s->a : s->b);
        return;
    }
    if (fault != FAULT_LOSS || total <= 0)
        return;
    add(t,
        "Side of the tap: of %llu lost packets %.0f %% were lost between %s and the tap, %.0f %% between the tap and "
        "%s",
        (unsigned long long)(up + down + unknown), 100 * (double)up / total, from, 100 * (double)down / total, to);
    if (unknown > 0)
        add(t, ", %.0f %% on an unknown side", 100 * (double)unknown / total);
    add(t, ".\n");
}

static void add_evidence(struct text *t, const struct entity_problem *p, const struct history *h,
                         enum fault_class fault)
{
    char from[32], to[32];
    uint32_t shown = 0;

    add(t, "\nEvidence (local time; the latest first)\n");
    add(t, "  %-16s  %-16s  %7s  %9s  %8s  %10s\n", "from", "to", "minutes", value_name(fault), "expected",
        exposure_name(fault));
    for (uint32_t i = h->n; i > 0 && shown < EVIDENCE_LINES; i--) {
        const struct occurrence *o = &h->item[i - 1];
        struct local_time lt;
        local_from_ns(o->onset_ns, &lt);
        if (p != NULL && !recurrence_matches(p->pattern, (uint8_t)p->weekday, (unsigned)p->from_hour,
                                             (unsigned)p->to_hour, lt.date, lt.hour))
            continue;
        char value[32], expected[32];
        struct text v = {value, 0, sizeof(value)}, x = {expected, 0, sizeof(expected)};
        add_value(&v, fault, (double)o->value);
        add_value(&x, fault, (double)o->baseline);
        add(t, "  %-16s  %-16s  %7u  %9s  %8s  %10llu\n", local_format(from, sizeof(from), o->onset_ns, 0),
            local_format(to, sizeof(to), o->end_ns, 0), o->bad_minutes, value, expected,
            (unsigned long long)o->exposure_n);
        shown++;
    }
}

static void limit_title(struct ticket *t, const char *title)
{
    clip(t->e.title, sizeof(t->e.title), title, strlen(title), TITLE_CHARS);
}

static void add_slot(struct text *t, const struct entity_problem *e)
{
    const char *days = e->pattern == PATTERN_WEEKLY_SLOT ? weekday_plural((uint8_t)e->weekday)
                       : e->pattern == PATTERN_WEEKDAYS  ? "weekdays"
                       : e->pattern == PATTERN_WEEKENDS  ? "weekends"
                                                         : "daily";

    add(t, "%s %02u:00\xe2\x80\x93%02u:00", days, (unsigned)e->from_hour % 24,
        e->to_hour % 24 == 0 ? 24 : (unsigned)e->to_hour % 24);
}

static void compose_problem(struct ticket *t, const struct entity_problem *e, const struct history *h)
{
    char title[512], when[64];
    struct sides s;
    struct text line = {title, 0, sizeof(title)}, body = {t->e.body, 0, sizeof(t->e.body)};
    const char *unit = e->pattern == PATTERN_WEEKLY_SLOT ? "weeks" : "days";

    split_sides(&s, e->scope, e->object);
    add_where(&line, &s);
    add(&line, ": ");
    add_what(&line, &s, e->fault, e->direction);
    add(&line, ", ");
    add_slot(&line, e);
    add(&line, ", %llu of %llu %s", (unsigned long long)e->occurrences, (unsigned long long)e->exposures, unit);
    limit_title(t, title);

    add(&body, "What: ");
    add_where(&body, &s);
    add(&body, ": ");
    add_what(&body, &s, e->fault, e->direction);
    add(&body, ", %s, in %llu of %llu observed %s.\n", e->pattern_text, (unsigned long long)e->occurrences,
        (unsigned long long)e->exposures, unit);
    add(&body, "Impact: %llu bad minutes; %s ", (unsigned long long)e->minutes_lost, value_name(e->fault));
    add_value(&body, e->fault, e->value);
    add(&body, " on average in the bad minutes, at worst ");
    add_value(&body, e->fault, e->peak);
    add(&body, ", over %llu %s.\n", (unsigned long long)e->exposure_n, exposure_name(e->fault));
    add_side(&body, &s, e->fault, e->direction, e->lost_upstream_pkts, e->lost_downstream_pkts, e->lost_unknown_pkts);
    add(&body, "Since: %s", local_format(when, sizeof(when), e->first_ns, 1));
    add(&body, "; latest %s.\n", local_format(when, sizeof(when), e->last_ns, 1));
    add(&body,
        "How sure: %.0f %% of the slots against %.1f %% of all days at these hours (lift %.1f); by chance p = %.2g.\n",
        100 * e->hit_rate, e->dates_seen > 0 ? 100.0 * (double)e->dates_hit / (double)e->dates_seen : 0, e->lift,
        e->p_value);
    add(&body, "State: %s; owner: %s", problem_state_name(e->state), e->owner[0] != '\0' ? e->owner : "nobody yet");
    if (e->failed_fixes > 0)
        add(&body, "; failed fixes: %llu", (unsigned long long)e->failed_fixes);
    add(&body, ".%s%s\n", e->reason[0] != '\0' ? " " : "", e->reason);
    add_evidence(&body, e, h, e->fault);
    add(&body, "\nNext decision: %s\nLook deeper: spanward problems %s, spanward incidents\n", e->next_decision, e->id);
}

static void compose_incident(struct ticket *t, const struct entity_incident *e, const struct history *h)
{
    char title[512], when[64];
    struct sides s;
    struct text line = {title, 0, sizeof(title)}, body = {t->e.body, 0, sizeof(t->e.body)};

    split_sides(&s, e->scope, e->object);
    add_where(&line, &s);
    add(&line, ": ");
    add_what(&line, &s, e->fault, e->direction);
    add(&line, ", since %s", local_format(when, sizeof(when), e->onset_ns, 0));
    if (h->n > 1)
        add(&line, ", occurrence %u", h->n);
    limit_title(t, title);

    add(&body, "What: ");
    add_where(&body, &s);
    add(&body, ": ");
    add_what(&body, &s, e->fault, e->direction);
    add(&body, " since %s (severity %s).\n", local_format(when, sizeof(when), e->onset_ns, 1),
        t->e.severity == EVENT_critical ? "critical"
        : t->e.severity == EVENT_major  ? "major"
                                        : "minor");
    add(&body, "Impact: %llu bad minutes so far; %s ", (unsigned long long)e->bad_minutes, value_name(e->fault));
    add_value(&body, e->fault, e->value);
    add(&body, ", at worst ");
    add_value(&body, e->fault, e->peak);
    add(&body, ", over %llu %s.\n", (unsigned long long)e->exposure_n, exposure_name(e->fault));
    add_side(&body, &s, e->fault, e->direction, e->lost_upstream_pkts, e->lost_downstream_pkts, e->lost_unknown_pkts);
    add(&body, "State: %s; owner: %s.\n", incident_state_name(e->state), e->owner[0] != '\0' ? e->owner : "nobody yet");
    add_evidence(&body, NULL, h, e->fault);
    add(&body, "\nNext decision: %s\nLook deeper: spanward incidents %s\n",
        e->state >= INCIDENT_CLEARED ? "none: it has cleared" : "who takes it?", e->id);
}

struct ticket *ticket_find(struct control *c, const char *id)
{
    for (size_t i = 0; id[0] != '\0' && i < c->tickets.n; i++) {
        if (strcmp(c->tickets.item[i]->e.id, id) == 0)
            return c->tickets.item[i];
    }
    return NULL;
}

static struct ticket *ticket_create(struct control *c, const char *fingerprint, uint64_t now_ns)
{
    struct ticket *t = calloc(1, sizeof(*t));

    if (t == NULL || VECTOR_PUSH(c->tickets, t) != 0) {
        free(t);
        c->failed = true;
        return NULL;
    }
    snprintf(t->e.id, sizeof(t->e.id), "TKT-%llu", (unsigned long long)++c->meta.ticket_seq);
    snprintf(t->e.fingerprint, sizeof(t->e.fingerprint), "%s", fingerprint);
    t->e.created_ns = now_ns;
    t->e.dry_run = 1; /* until a create is on its way */
    return t;
}

/* Turns a new text or state into one row of the outbox. */
static void publish(struct control *c, struct ticket *t, enum ticket_state state, uint64_t now_ns)
{
    char all[sizeof(t->e.title) + sizeof(t->e.body) + 160];
    char hash[FINGERPRINT_BYTES];
    bool live = !c->options.dry_run && c->connector[0] != '\0';
    enum outbox_op op;

    snprintf(all, sizeof(all), "%s|%d|%s|%s|%s", ticket_state_name(state), (int)t->e.severity, t->e.owner, t->e.title,
             t->e.body);
    hash_text(hash, all);
    if (strcmp(hash, t->e.content_hash) == 0)
        return;
    bool moved = live && !t->e.dry_run && strcmp(t->e.connector, c->connector) != 0; /* to another system */
    bool unfiled = t->e.version == 0 || (live && t->e.dry_run) || moved;
    if (unfiled && state == TICKET_CLOSED)
        op = OUTBOX_CLOSE; /* closed before anybody saw it: told only where it was a dry run all along */
    else
        op = unfiled ? OUTBOX_CREATE : state == TICKET_CLOSED ? OUTBOX_CLOSE : OUTBOX_UPDATE;
    memcpy(t->e.content_hash, hash, sizeof(hash));
    t->e.state = state;
    t->e.closed_ns = state == TICKET_CLOSED ? now_ns : 0;
    t->e.updated_ns = now_ns;
    t->e.version++;
    t->dirty = true;
    if (unfiled && live && op == OUTBOX_CLOSE)
        return;
    if (live)
        t->e.dry_run = 0;
    if (moved) {
        t->e.remote_id[0] = t->e.remote_url[0] = '\0';
        t->e.remote_state = REMOTE_UNKNOWN;
    }
    snprintf(t->e.connector, sizeof(t->e.connector), "%s", live ? c->connector : "");
    outbox_enqueue(c, t, op, now_ns);
}

void ticket_sync_incident(struct control *c, struct incident *i, uint64_t now_ns)
{
    struct fault_line *line = &i->object->line[i->metric];
    struct ticket *t = ticket_find(c, line->ticket);

    if (i->e.parent[0] != '\0' || i->e.flapping || i->e.state == INCIDENT_PENDING)
        return;
    if (i->e.suppressed[0] != '\0' && (i->e.ticket[0] == '\0' || i->e.state < INCIDENT_CLOSED))
        return;
    if (i->e.problem[0] != '\0' || (t != NULL && t->e.problem[0] != '\0')) { /* the problem speaks */
        struct problem *p = problem_find(c, i->e.problem);
        const char *id = p != NULL ? p->e.ticket : t != NULL ? t->e.id : "";
        if (strcmp(i->e.ticket, id) != 0) {
            snprintf(i->e.ticket, sizeof(i->e.ticket), "%s", id);
            i->dirty = true;
        }
        if (p != NULL && i->e.state == INCIDENT_CLOSED)
            problem_settled(c, p, i, now_ns);
        return;
    }
    if (i->e.ticket[0] == '\0' && i->e.severity < EVENT_major)
        return;
    if (t == NULL)
        t = ticket_create(c, i->e.fingerprint, now_ns);
    if (t == NULL)
        return;
    snprintf(line->ticket, sizeof(line->ticket), "%s", t->e.id);
    if (strcmp(i->e.ticket, t->e.id) != 0) {
        snprintf(i->e.ticket, sizeof(i->e.ticket), "%s", t->e.id);
        i->dirty = true;
    }
    t->e.severity = i->e.severity;
    snprintf(t->e.incident, sizeof(t->e.incident), "%s", i->e.id);
    snprintf(t->e.owner, sizeof(t->e.owner), "%s", i->e.owner);
    compose_incident(t, &i->e, &line->history);
    publish(c, t, i->e.state == INCIDENT_CLOSED ? TICKET_CLOSED : TICKET_OPEN, now_ns);
}

void ticket_sync_problem(struct control *c, struct problem *p, uint64_t now_ns)
{
    enum metric m;
    struct control_object *o = control_find_line(c, p->e.fingerprint, &m);
    struct ticket *t = ticket_find(c, p->e.ticket);

    bool ending = p->e.state == PROBLEM_CLOSED || p->e.state == PROBLEM_DUPLICATE;
    if (o == NULL || p->e.state == PROBLEM_CANDIDATE ||
        (!ending && register_find(c, REGISTER_SILENCE, o, now_ns) != NULL))
        return;
    if (t == NULL)
        t = ticket_create(c, p->e.fingerprint, now_ns);
    if (t == NULL)
        return;
    snprintf(p->e.ticket, sizeof(p->e.ticket), "%s", t->e.id);
    p->dirty = true;
    snprintf(o->line[m].ticket, sizeof(o->line[m].ticket), "%s", t->e.id);
    t->e.severity = p->e.severity;
    snprintf(t->e.problem, sizeof(t->e.problem), "%s", p->e.id);
    if (o->line[m].history.n > 0)
        snprintf(t->e.incident, sizeof(t->e.incident), "INC-%u",
                 o->line[m].history.item[o->line[m].history.n - 1].incident);
    snprintf(t->e.owner, sizeof(t->e.owner), "%s", p->e.owner);
    compose_problem(t, &p->e, &o->line[m].history);
    bool over = p->e.state == PROBLEM_CLOSED || p->e.state == PROBLEM_DUPLICATE;
    publish(c, t, over ? TICKET_CLOSED : TICKET_OPEN, now_ns);
}

void ticket_hand_over(struct control *c, struct incident *from, struct incident *to, uint64_t now_ns)
{
    struct fault_line *line = &from->object->line[from->metric];
    struct ticket *t = ticket_find(c, from->e.ticket);

    if (t == NULL || t->e.problem[0] != '\0' || t->e.state == TICKET_CLOSED)
        return;
    if (to->e.ticket[0] != '\0') { /* one fault, one ticket: this one is over */
        compose_incident(t, &from->e, &line->history);
        publish(c, t, TICKET_CLOSED, now_ns);
        return;
    }
    snprintf(t->e.fingerprint, sizeof(t->e.fingerprint), "%s", to->e.fingerprint);
    snprintf(to->object->line[to->metric].ticket, sizeof(line->ticket), "%s", t->e.id);
    snprintf(to->e.ticket, sizeof(to->e.ticket), "%s", t->e.id);
    line->ticket[0] = '\0';
    t->dirty = true;
    ticket_sync_incident(c, to, now_ns);
}
