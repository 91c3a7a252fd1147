/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the simulator plants: a scenario is a row of the table at the end, a function that plans faults, and what people
 * enter about them, before time begins. docs/SIMULATION.md lists the kinds.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "control/localtime.h"
#include "control/simulate_internal.h"

uint32_t sim_add_fault(struct sim *s, const struct sim_fault *f)
{
    if (s->n_faults == s->room_faults) {
        uint32_t room = s->room_faults == 0 ? 64 : s->room_faults * 2;
        struct sim_fault *grown = realloc(s->fault, room * sizeof(*grown));
        if (grown == NULL) {
            s->failed = true;
            return 0;
        }
        s->fault = grown;
        s->room_faults = room;
    }
    s->fault[s->n_faults] = *f;
    return s->n_faults++;
}

void sim_add_occurrence(struct sim *s, uint32_t fault, uint64_t start_ns, uint64_t end_ns)
{
    if (end_ns <= s->start_ns || start_ns >= s->end_ns || s->failed)
        return;
    if (s->n_occurrences == s->room_occurrences) {
        uint32_t room = s->room_occurrences == 0 ? 64 : s->room_occurrences * 2;
        struct sim_occurrence *grown = realloc(s->occurrence, room * sizeof(*grown));
        if (grown == NULL) {
            s->failed = true;
            return;
        }
        s->occurrence = grown;
        s->room_occurrences = room;
    }
    struct sim_path *p = &s->path[s->fault[fault].path];
    if (p->n_occurrences == p->room) {
        uint32_t room = p->room == 0 ? 8 : p->room * 2;
        uint32_t *grown = realloc(p->occurrences, room * sizeof(*grown));
        if (grown == NULL) {
            s->failed = true;
            return;
        }
        p->occurrences = grown;
        p->room = room;
    }
    p->occurrences[p->n_occurrences++] = s->n_occurrences;
    s->occurrence[s->n_occurrences++] = (struct sim_occurrence){start_ns, end_ns, fault};
}

/* A fault in a weekly slot: begins in the slot's first minutes, lasts nearly to its end, misses some weeks. */
static void plan_weekly(struct sim *s, const struct sim_fault *f)
{
    uint32_t id = sim_add_fault(s, f);

    for (int32_t d = 0; d < s->n_dates; d++) {
        int32_t date = s->first_date + d;
        uint64_t bits = sim_draw(s->o->seed, f->path, (uint64_t)date, DRAW_PLAN, 1 + (id & 3));
        if (local_weekday(date) != f->weekday || sim_uniform(bits) >= f->hit_rate)
            continue;
        uint64_t from = local_to_ns(date, (unsigned)f->from_hour, (unsigned)(bits >> 8 & 0x0F));
        uint64_t to = local_to_ns(date, (unsigned)f->to_hour, 0) - (bits >> 16 & 0x0F) * NS_PER_MIN;
        sim_add_occurrence(s, id, from, to);
    }
}

static struct sim_fault random_effect(const struct sim *s, uint32_t path, uint64_t bits)
{
    struct sim_fault f = {.path = path, .weekday = -1, .from_hour = -1, .to_hour = -1, .hit_rate = 0};

    (void)s;
    switch (bits % 3) {
    case 0:
        f.fault = FAULT_LOSS;
        f.direction = bits >> 4 & 1 ? DIRECTION_A2B : DIRECTION_B2A;
        f.upstream = bits >> 5 & 1;
        f.magnitude = 0.02 + 0.06 * sim_uniform(mix64(bits));
        break;
    case 1:
        f.fault = FAULT_LATENCY;
        f.direction = bits >> 4 & 1 ? DIRECTION_SIDE_A : DIRECTION_SIDE_B;
        f.magnitude = 5 + 10 * sim_uniform(mix64(bits)); /* factor */
        break;
    default:
        f.fault = FAULT_CONNECT;
        f.direction = DIRECTION_BOTH;
        f.magnitude = 0.35 + 0.5 * sim_uniform(mix64(bits));
        break;
    }
    return f;
}

/* Single faults at a rate per path and day, at any hour, for 15 to 135 minutes; mild ones stay below severity major. */
static void plan_one_offs(struct sim *s, uint32_t path, double per_day, bool mild)
{
    for (int32_t d = 0; d < s->n_dates; d++) {
        uint64_t bits = sim_draw(s->o->seed, path, (uint64_t)(s->first_date + d), DRAW_PLAN, 0);
        if (sim_uniform(bits) >= per_day)
            continue;
        struct sim_fault f = random_effect(s, path, mix64(bits + 1));
        f.kind = "one_off";
        if (mild)
            f.magnitude *= f.fault == FAULT_LOSS ? 0.45 : 0.55;
        uint64_t more = mix64(bits + 2);
        uint64_t start = local_to_ns(s->first_date + d, 0, 0) + more % (24 * 60) * NS_PER_MIN;
        sim_add_occurrence(s, sim_add_fault(s, &f), start, start + (15 + (more >> 32) % 120) * NS_PER_MIN);
    }
}

static void plan_noise(struct sim *s)
{
    for (uint32_t p = 0; p < s->n_paths; p++)
        plan_one_offs(s, p, 0.02, false);
}

/* One path in five has a weekly slot of three hours with a hit rate of 0.8 to 1; all have one-offs. */
static void plan_mixed(struct sim *s)
{
    for (uint32_t p = 0; p < s->n_paths; p++) {
        uint64_t bits = sim_draw(s->o->seed, p, 0, DRAW_PLAN, 7);
        if (bits % 5 == 0) {
            struct sim_fault f = random_effect(s, p, mix64(bits + 1));
            f.kind = "weekly_slot";
            f.weekday = (int)((bits >> 8) % 7);
            f.from_hour = (int)(6 + (bits >> 16) % 14);
            f.to_hour = f.from_hour + 3;
            f.hit_rate = 0.8 + 0.2 * sim_uniform(mix64(bits + 3));
            plan_weekly(s, &f);
        }
        plan_one_offs(s, p, 0.02, false);
    }
}

static void plan_demo(struct sim *s)
{
    static const char *const names[] = {"Branch-12~DC", "Branch-07~DC", "Branch-31~DC"};

    for (uint32_t p = 0; p < s->n_paths; p++)
        snprintf(s->path[p].name, sizeof(s->path[p].name), "%s", names[p]);
    plan_weekly(s, &(struct sim_fault){.kind = "weekly_slot",
                                       .path = 0,
                                       .fault = FAULT_LOSS,
                                       .direction = DIRECTION_B2A,
                                       .weekday = 1,
                                       .from_hour = 8,
                                       .to_hour = 11,
                                       .hit_rate = 0.9,
                                       .magnitude = 0.035});
    for (uint32_t p = 0; p < s->n_paths; p++)
        plan_one_offs(s, p, 0.03, true);
}

/* --- plans of the larger scenarios --- */

struct sim_span *sim_add_span(struct sim *s, enum sim_span_kind kind, uint64_t start_ns, uint64_t end_ns)
{
    if (s->n_spans[kind] == s->room_spans[kind]) {
        uint32_t room = s->room_spans[kind] == 0 ? 16 : s->room_spans[kind] * 2;
        struct sim_span **grown = realloc(s->span[kind], room * sizeof(struct sim_span *));
        if (grown == NULL) {
            s->failed = true;
            return NULL;
        }
        s->span[kind] = grown;
        s->room_spans[kind] = room;
    }
    struct sim_span *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        s->failed = true;
        return NULL;
    }
    *x = (struct sim_span){.start_ns = start_ns, .end_ns = end_ns, .fault = -1};
    s->span[kind][s->n_spans[kind]++] = x;
    return x;
}

static uint64_t plan_bits(const struct sim *s, uint32_t path, unsigned what)
{
    return mix64(sim_draw(s->o->seed, path, 1000 + what, DRAW_PLAN, 6));
}

/* A moment of the stream, on a full minute. */
static uint64_t moment(const struct sim *s, uint64_t bits)
{
    uint64_t span = (s->end_ns - s->start_ns) / NS_PER_MIN;

    return s->start_ns + bits % span * NS_PER_MIN;
}

/* When a recurring fault stops because somebody has mended it; UINT64_MAX: never. */
static uint64_t stops_ns(const struct sim_fault *f)
{
    return f->fixed_ns != 0 && f->fix_works ? f->fixed_ns : UINT64_MAX;
}

static bool day_fits(const struct sim_fault *f, int32_t date)
{
    struct local_time t;

    if (strcmp(f->kind, "weekdays") == 0)
        return local_weekday(date) < 5;
    if (strcmp(f->kind, "weekends") == 0)
        return local_weekday(date) >= 5;
    if (strcmp(f->kind, "month_end") != 0)
        return f->weekday < 0 || local_weekday(date) == f->weekday;
    local_from_ns(local_to_ns(date + 1, 12, 0), &t);
    return t.day == 1;
}

/* Weekly slots, daily, weekday, weekend and month-end faults: a slot of a date, with misses. */
static void plan_slot(struct sim *s, const struct sim_fault *f)
{
    uint32_t id = sim_add_fault(s, f);

    for (int32_t d = 0; d < s->n_dates; d++) {
        int32_t date = s->first_date + d;
        uint64_t bits = mix64(sim_draw(s->o->seed, f->path, (uint64_t)date, DRAW_PLAN, 5) + id);
        if (!day_fits(f, date) || sim_uniform(bits) >= f->hit_rate)
            continue;
        uint64_t from = local_to_ns(date, (unsigned)f->from_hour, (unsigned)(bits >> 8 & 0x0F));
        uint64_t to = local_to_ns(date, (unsigned)f->to_hour, 0) - (bits >> 16 & 0x0F) * NS_PER_MIN;
        if (from < stops_ns(f))
            sim_add_occurrence(s, id, from, to);
    }
}

/* At the same minute of each period, 12 to 20 minutes long. */
static void plan_hourly(struct sim *s, const struct sim_fault *f, uint64_t bits)
{
    uint32_t id = sim_add_fault(s, f);
    uint64_t period_ns = f->period_min * NS_PER_MIN;
    uint64_t first = s->start_ns / period_ns * period_ns + bits % f->period_min * NS_PER_MIN;

    for (uint64_t at = first; at < s->end_ns && at < stops_ns(f); at += period_ns) {
        uint64_t more = mix64(bits + at);
        if (at >= s->start_ns && sim_uniform(more) < f->hit_rate)
            sim_add_occurrence(s, id, at + (more & 1) * NS_PER_MIN, at + (12 + (more >> 8) % 9) * NS_PER_MIN);
    }
}

/* At any time, again and again. */
static void plan_chronic(struct sim *s, const struct sim_fault *f)
{
    uint32_t id = sim_add_fault(s, f);

    for (int32_t d = 0; d < s->n_dates; d++) {
        uint64_t bits = mix64(sim_draw(s->o->seed, f->path, (uint64_t)(s->first_date + d), DRAW_PLAN, 4) + id);
        if (sim_uniform(bits) >= f->per_day)
            continue;
        uint64_t more = mix64(bits);
        uint64_t at = local_to_ns(s->first_date + d, 0, 0) + more % (24 * 60) * NS_PER_MIN;
        if (at < stops_ns(f))
            sim_add_occurrence(s, id, at, at + (15 + (more >> 32) % 60) * NS_PER_MIN);
    }
}

/* Everything now and then, each too seldom to be chronic by itself: what recurs is the branch. */
static void plan_same_branch(struct sim *s, uint32_t path, uint64_t bits)
{
    static const struct {
        enum fault_class fault;
        enum fault_direction direction;
    } kinds[] = {{FAULT_LOSS, DIRECTION_A2B},
                 {FAULT_LOSS, DIRECTION_B2A},
                 {FAULT_LATENCY, DIRECTION_SIDE_A},
                 {FAULT_LATENCY, DIRECTION_SIDE_B},
                 {FAULT_CONNECT, DIRECTION_BOTH}};

    for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        double size = sim_uniform(mix64(bits + k));
        struct sim_fault f = {.kind = "same_branch",
                              .path = path,
                              .fault = kinds[k].fault,
                              .direction = kinds[k].direction,
                              .weekday = -1,
                              .from_hour = -1,
                              .to_hour = -1,
                              .per_day = 0.04};
        f.magnitude = f.fault == FAULT_LOSS      ? 0.02 + 0.06 * size
                      : f.fault == FAULT_LATENCY ? 5 + 10 * size
                                                 : 0.35 + 0.5 * size;
        plan_chronic(s, &f);
    }
}

/* Every half an hour for a few hours: bad for nine to twelve minutes, well for the rest. */
static void plan_flapping(struct sim *s, uint32_t path, uint64_t bits)
{
    struct sim_fault f = random_effect(s, path, bits);

    f.kind = "flapping";
    f.fault = FAULT_LOSS;
    f.direction = bits >> 4 & 1 ? DIRECTION_A2B : DIRECTION_B2A;
    f.magnitude = 0.04 + 0.06 * sim_uniform(mix64(bits));
    uint32_t id = sim_add_fault(s, &f);
    uint64_t at = moment(s, mix64(bits + 5));
    for (unsigned i = 0; i < 10; i++) {
        uint64_t more = mix64(bits + i);
        sim_add_occurrence(s, id, at, at + (9 + more % 4) * NS_PER_MIN);
        at += (28 + (more >> 8) % 6) * NS_PER_MIN;
    }
}

/* Latency that creeps up over half of the time, and stays. */
static void plan_drift(struct sim *s, uint32_t path, uint64_t bits)
{
    struct sim_fault f = random_effect(s, path, 1 | 16 * (bits & 1));
    uint64_t half = (s->end_ns - s->start_ns) / 2;

    f.kind = "drift";
    f.fault = FAULT_LATENCY;
    f.direction = bits & 1 ? DIRECTION_SIDE_A : DIRECTION_SIDE_B;
    f.ramp = true;
    f.magnitude = 2 + 2 * sim_uniform(mix64(bits));
    sim_add_occurrence(s, sim_add_fault(s, &f), s->start_ns + half, s->end_ns);
}

/* Load that grows until the line is full at its busiest hours. */
static void plan_capacity(struct sim *s, uint32_t path, uint64_t bits)
{
    struct sim_path *p = &s->path[path];
    struct sim_fault f = {.kind = "capacity",
                          .path = path,
                          .fault = FAULT_LOSS,
                          .direction = DIRECTION_B2A,
                          .weekday = -1,
                          .from_hour = -1,
                          .to_hour = -1};
    double full_week = s->o->weeks * (0.5 + 0.2 * sim_uniform(bits));

    p->growth = 0.05;
    p->capacity_bits = p->bits_per_s[1] * pow(1 + p->growth, full_week);
    /* The hourly component fills it some weeks earlier on some days. */
    double seen_week = full_week > 4 ? full_week - 4 : 0;
    sim_add_occurrence(s, sim_add_fault(s, &f), s->start_ns + (uint64_t)(seen_week * 7 * 24) * NS_PER_HOUR, s->end_ns);
    s->fault[s->n_faults - 1].silent = false;
}

/* A fault that a recurring kind has in common: effect, slot, rate. */
static struct sim_fault recurring(const struct sim *s, uint32_t path, const char *kind, uint64_t bits)
{
    struct sim_fault f = random_effect(s, path, mix64(bits + 1));

    f.kind = kind;
    f.from_hour = (int)(6 + (bits >> 16) % 14);
    f.to_hour = f.from_hour + 2 + (int)(bits >> 24 & 1);
    f.hit_rate = 0.8 + 0.2 * sim_uniform(mix64(bits + 3));
    return f;
}

/* One recurring fault on a path, of the kind that `role` (0..99) says; most paths have none. */
static void plan_role(struct sim *s, uint32_t path, unsigned role, uint64_t bits, uint64_t fixed_ns, bool fix_works)
{
    struct sim_fault f = recurring(s, path, "weekly_slot", bits);

    f.fixed_ns = fixed_ns;
    f.fix_works = fix_works;
    if (role < 16) {
        f.weekday = (int)((bits >> 8) % 7);
        plan_slot(s, &f);
    } else if (role < 18) {
        f.kind = "daily";
        plan_slot(s, &f);
    } else if (role < 20) {
        f.kind = role == 18 ? "weekdays" : "weekends";
        plan_slot(s, &f);
    } else if (role < 22) {
        f.kind = "hourly";
        f.from_hour = f.to_hour = -1;
        f.period_min = role == 20 ? 60 : 120;
        plan_hourly(s, &f, bits);
    } else if (role < 24) {
        f.kind = "chronic";
        f.from_hour = f.to_hour = -1;
        f.hit_rate = 0;
        f.per_day = 0.3 + 0.4 * sim_uniform(mix64(bits + 4));
        plan_chronic(s, &f);
    } else if (role < 26) {
        plan_flapping(s, path, bits);
    } else if (role == 26) {
        plan_drift(s, path, bits);
    } else if (role == 27) {
        plan_capacity(s, path, bits);
    } else if (role == 28) {
        plan_same_branch(s, path, bits);
    }
}

static void list_paths(const struct sim *s, struct sim_span *x, uint32_t first, uint32_t n)
{
    size_t len = 0;

    x->first_path = first;
    x->n_paths = n;
    for (uint32_t i = first; i < first + n && len < sizeof(x->objects); i++)
        len +=
            (size_t)snprintf(x->objects + len, sizeof(x->objects) - len, "%s%s", len > 0 ? "," : "", s->path[i].name);
}

#define CIRCUIT_PATHS 30u

/* Paths in groups of thirty behind a circuit each. */
static void plan_circuits(struct sim *s)
{
    for (uint32_t first = 0; first + CIRCUIT_PATHS <= s->n_paths; first += CIRCUIT_PATHS) {
        struct sim_span *x = sim_add_span(s, SIM_CIRCUIT, s->start_ns, s->end_ns);
        if (x == NULL)
            return;
        snprintf(x->title, sizeof(x->title), "MPLS-%u", first / CIRCUIT_PATHS + 1);
        list_paths(s, x, first, CIRCUIT_PATHS);
    }
}

/* A circuit fails, and with it all its paths within three minutes; nobody tells the tap about the circuit. */
static void plan_cascade(struct sim *s, const struct sim_span *circuit, uint64_t bits)
{
    uint64_t at = moment(s, bits), length = (20 + (bits >> 40) % 100) * NS_PER_MIN;
    struct sim_span *x = sim_add_span(s, SIM_CASCADE, at, at + length);
    struct sim_fault f = random_effect(s, circuit->first_path, mix64(bits + 1));

    if (x == NULL)
        return;
    snprintf(x->title, sizeof(x->title), "%s", circuit->title);
    list_paths(s, x, circuit->first_path, circuit->n_paths);
    f.kind = "cascade";
    f.silent = true;
    for (uint32_t i = 0; i < circuit->n_paths; i++) {
        uint64_t more = mix64(bits + 100 + i);
        f.path = circuit->first_path + i;
        sim_add_occurrence(s, sim_add_fault(s, &f), at + more % 3 * NS_PER_MIN,
                           at + length + (more >> 8) % 3 * NS_PER_MIN);
    }
}

static void plan_cascades(struct sim *s, double per_week)
{
    for (uint32_t i = 0; i < s->n_spans[SIM_CIRCUIT]; i++) {
        for (unsigned week = 0; week < s->o->weeks; week++) {
            uint64_t bits = plan_bits(s, i, 2000 + week);
            if (sim_uniform(bits) < per_week)
                plan_cascade(s, s->span[SIM_CIRCUIT][i], mix64(bits + 7));
        }
    }
}

/* The sensor sees nothing at all, or the mirror drops packets, which looks like loss on every path. */
static void plan_blindness(struct sim *s)
{
    for (unsigned week = 0; week < s->o->weeks; week++) {
        uint64_t bits = plan_bits(s, 0, 3000 + week), more = mix64(bits);
        uint64_t at = moment(s, more);
        if (week % 4 == 1)
            sim_add_span(s, SIM_OUTAGE, at, at + (20 + (more >> 40) % 160) * NS_PER_MIN);
        if (week % 3 != 0)
            continue;
        at = moment(s, mix64(more));
        struct sim_span *x = sim_add_span(s, SIM_CAPTURE, at, at + (20 + (bits >> 40) % 160) * NS_PER_MIN);
        if (x != NULL)
            x->share = 0.02 + 0.1 * sim_uniform(bits);
    }
}

/* Planned work at night on one path: announced, and really harmful. */
static void plan_maintenance(struct sim *s, uint32_t path, uint64_t bits)
{
    int32_t date = s->first_date + 2 + (int32_t)(bits % (uint64_t)(s->n_dates > 4 ? s->n_dates - 3 : 1));
    uint64_t from = local_to_ns(date, 22, 0), to = from + (1 + (bits >> 20) % 3) * NS_PER_HOUR;
    struct sim_span *x = sim_add_span(s, SIM_MAINTENANCE, from, to);
    struct sim_fault f = random_effect(s, path, mix64(bits + 1));

    if (x == NULL)
        return;
    snprintf(x->title, sizeof(x->title), "work on %.40s, %u", s->path[path].name, s->n_spans[SIM_MAINTENANCE]);
    list_paths(s, x, path, 1);
    f.kind = "maintenance";
    f.silent = true;
    sim_add_occurrence(s, sim_add_fault(s, &f), from + 5 * NS_PER_MIN, to - 5 * NS_PER_MIN);
}

/* A change; one in three breaks something up to 40 minutes later. */
static void plan_change(struct sim *s, uint32_t path, unsigned number, uint64_t bits)
{
    uint64_t at = moment(s, bits);
    struct sim_span *x = sim_add_span(s, SIM_CHANGE, at, at);

    if (x == NULL)
        return;
    snprintf(x->title, sizeof(x->title), "change %u on %.40s", number, s->path[path].name);
    list_paths(s, x, path, 1);
    if (bits >> 50 & 3)
        return;
    struct sim_fault f = random_effect(s, path, mix64(bits + 1));
    f.kind = "change";
    f.change = x->title;
    uint64_t onset = at + (1 + (bits >> 40) % 40) * NS_PER_MIN;
    x->fault = (int)sim_add_fault(s, &f);
    sim_add_occurrence(s, (uint32_t)x->fault, onset, onset + (30 + (bits >> 32) % 200) * NS_PER_MIN);
}

static void plan_full(struct sim *s)
{
    plan_circuits(s);
    plan_cascades(s, 0.15);
    plan_blindness(s);
    for (uint32_t p = 0; p < s->n_paths; p++) {
        uint64_t bits = plan_bits(s, p, 1);
        s->path[p].growth = 0.01 * sim_uniform(mix64(bits + 9));
        plan_role(s, p, (unsigned)(bits % 100), mix64(bits + 10), 0, false);
        plan_one_offs(s, p, 0.02, false);
        if (bits >> 32 & 1) {
            plan_change(s, p, 1, mix64(bits + 11));
            plan_change(s, p, 2, mix64(bits + 12));
        }
        if ((bits >> 33 & 7) == 0)
            plan_maintenance(s, p, mix64(bits + 13));
    }
}

/* Nothing to report: only what looks like a fault and is none. */
static void plan_hostile(struct sim *s)
{
    plan_circuits(s);
    plan_blindness(s);
    plan_blindness(s);
    for (uint32_t p = 0; p < s->n_paths; p++) {
        uint64_t bits = plan_bits(s, p, 1);
        s->path[p].growth = 0.03 * sim_uniform(mix64(bits + 9));
        plan_change(s, p, 1, mix64(bits + 11) | 3ull << 50);
        plan_maintenance(s, p, mix64(bits + 13));
    }
}

/* Recurring faults that somebody says he has fixed after half of the time; half of the fixes work. */
static void plan_fixes(struct sim *s)
{
    for (uint32_t p = 0; p < s->n_paths; p++) {
        uint64_t bits = plan_bits(s, p, 1);
        uint64_t fixed_ns = s->start_ns + (s->end_ns - s->start_ns) * (45 + bits % 10) / 100;
        fixed_ns -= fixed_ns % NS_PER_HOUR;
        if (p % 3 == 0)
            plan_role(s, p, (unsigned)(mix64(bits) % 24), mix64(bits + 10), fixed_ns, bits >> 40 & 1);
        plan_one_offs(s, p, 0.01, false);
    }
}

/* Month ends on one path in eight, one-offs on all. */
static void plan_monthly(struct sim *s)
{
    for (uint32_t p = 0; p < s->n_paths; p++) {
        uint64_t bits = plan_bits(s, p, 1);
        struct sim_fault f = recurring(s, p, "month_end", mix64(bits + 10));
        f.hit_rate = 0.9 + 0.1 * f.hit_rate;
        if (bits % 8 == 0)
            plan_slot(s, &f);
        plan_one_offs(s, p, 0.01, false);
    }
}

const struct sim_scenario sim_scenarios[] = {
    {"mixed", 0, plan_mixed, "weekly slots with misses on one path in five, one-offs on all"},
    {"full", 0, plan_full, "every kind but month ends and fixes, with changes, maintenance, blindness and cascades"},
    {"fixes", 0, plan_fixes,
     "recurring faults on one path in three, fixed half-way; half of the fixes work (26 weeks)"},
    {"monthly", 0, plan_monthly, "the last day of each month on one path in eight (26 weeks)"},
    {"hostile", 0, plan_hostile, "outages, capture loss, maintenance, changes and growth, but no fault"},
    {"noise", 0, plan_noise, "one-offs only: nothing recurs"},
    {"demo", 3, plan_demo, "three paths; loss towards Branch-12 every Tuesday 08:00-11:00"},
    {NULL, 0, NULL, NULL},
};

size_t simulate_scenarios(struct simulate_scenario *ret, size_t room)
{
    size_t n = 0;

    for (; sim_scenarios[n].name != NULL; n++) {
        if (n < room)
            ret[n] = (struct simulate_scenario){sim_scenarios[n].name, sim_scenarios[n].text};
    }
    return n;
}

/* --- order and end --- */

static int compare_commands(const void *a, const void *b)
{
    const struct sim_command *x = a;
    const struct sim_command *y = b;

    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

void sim_sort(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_paths; i++) { /* few per path and nearly in order: insertion */
        struct sim_path *p = &s->path[i];
        for (uint32_t a = 1; a < p->n_occurrences; a++) {
            uint32_t x = p->occurrences[a];
            uint32_t b = a;
            for (; b > 0 && s->occurrence[p->occurrences[b - 1]].start_ns > s->occurrence[x].start_ns; b--)
                p->occurrences[b] = p->occurrences[b - 1];
            p->occurrences[b] = x;
        }
    }
    if (s->n_commands > 1)
        qsort(s->command, s->n_commands, sizeof(*s->command), compare_commands);
}

void sim_free(struct sim *s)
{
    for (uint32_t i = 0; s->path != NULL && i < s->n_paths; i++)
        free(s->path[i].occurrences);
    for (unsigned k = 0; k < SIM_SPAN_COUNT; k++) {
        for (uint32_t i = 0; i < s->n_spans[k]; i++)
            free(s->span[k][i]);
        free(s->span[k]);
    }
    for (uint32_t i = 0; i < s->n_commands; i++)
        free(s->command[i].json);
    free(s->command);
    free(s->path);
    free(s->fault);
    free(s->occurrence);
}
