/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SIMULATE_INTERNAL_H
#define SPANWARD_SIMULATE_INTERNAL_H

/* Shared by simulate.c (the pass over time), simulate_plan.c (what is planted) and simulate_truth.c only. */

#include <math.h>
#include <stdbool.h>
#include "common/bytes.h"
#include "common/timefmt.h"
#include "control/simulate.h"
#include "store/entities.h"

#define NS_PER_MIN  (60 * NS_PER_S)
#define NS_PER_HOUR (3600 * NS_PER_S)

enum purpose { DRAW_PATH, DRAW_PLAN, DRAW_LOAD, DRAW_SLOW, DRAW_LOSS, DRAW_RTT, DRAW_CONNECT };

/* Randomness is hashing: a draw is a function of its arguments. */
static inline uint64_t sim_draw(uint64_t seed, uint64_t path, uint64_t time, enum purpose purpose, unsigned k)
{
    return mix64(mix64(seed + 0x9e3779b97f4a7c15ull * (path + 1)) ^ mix64(time * 64 + (uint64_t)purpose * 8 + k));
}

static inline double sim_uniform(uint64_t bits)
{
    return ((double)(bits >> 11) + 0.5) / 9007199254740992.0;
}

struct sim_path {
    char name[WINDOW_NAME_BYTES];
    double bits_per_s[2]; /* at its busiest hour, in the first week */
    double rtt_ms[2];
    double loss;
    double night; /* share of the load that is left at night */
    double peak_hour;
    double growth;         /* of the load, per week */
    double capacity_bits;  /* a line that fills up loses packets; 0: wide enough */
    uint32_t *occurrences; /* indices, by start */
    uint32_t n_occurrences, next, room;
};

/* One row per planted fault; the truth file lists them. */
struct sim_fault {
    const char *kind;
    uint32_t path;
    enum fault_class fault;
    enum fault_direction direction;
    bool upstream;                   /* of loss: before the tap */
    bool ramp;                       /* grows from nothing to its magnitude over an occurrence */
    bool silent;                     /* not in the list of faults: told in the list of cascades or of maintenance */
    int weekday, from_hour, to_hour; /* -1 where it does not apply */
    double hit_rate, magnitude;
    double per_day;      /* chronic: onsets a day */
    unsigned period_min; /* hourly */
    const char *change;  /* title of the change that caused it; owned by the list of changes */
    uint64_t fixed_ns;   /* 0: nobody says that it is fixed */
    bool fix_works;
};

struct sim_occurrence {
    uint64_t start_ns, end_ns;
    uint32_t fault;
};

/* A time span with a meaning of its own. */
struct sim_span {
    uint64_t start_ns, end_ns;
    char title[64];
    char objects[1600];
    uint32_t first_path, n_paths; /* cascades */
    double share;                 /* capture loss: of packets that the mirror seems to have lost */
    int fault;                    /* changes: the fault that it causes, -1 none */
};

#define SIM_SPANS(X)                                                                                                   \
    X(CASCADE, "cascades")                                                                                             \
    X(OUTAGE, "outages")                                                                                               \
    X(CAPTURE, "capture_loss")                                                                                         \
    X(MAINTENANCE, "maintenance")                                                                                      \
    X(CHANGE, "changes")                                                                                               \
    X(CIRCUIT, "circuits")
enum sim_span_kind {
#define X(symbol, name) SIM_##symbol,
    SIM_SPANS(X)
#undef X
        SIM_SPAN_COUNT
};

/* A command in the stream. */
struct sim_command {
    uint64_t time_ns;
    uint32_t order;
    char *json;
};

/* Owner: simulate_run. Invariant: plans are complete, and sorted, before the pass over time begins. */
struct sim {
    const struct simulate_options *o;
    uint64_t start_ns, end_ns;
    int32_t first_date, n_dates;
    unsigned window_s;
    struct sim_path *path;
    uint32_t n_paths;
    struct sim_fault *fault;
    uint32_t n_faults, room_faults;
    struct sim_occurrence *occurrence;
    uint32_t n_occurrences, room_occurrences;
    struct sim_span **span[SIM_SPAN_COUNT];
    uint32_t n_spans[SIM_SPAN_COUNT], room_spans[SIM_SPAN_COUNT];
    struct sim_command *command;
    uint32_t n_commands, room_commands, next_command;
    bool failed;
};

/* One row of the table of scenarios. */
struct sim_scenario {
    const char *name;
    uint32_t own_paths; /* 0: as many as asked for */
    void (*plan)(struct sim *s);
    const char *text;
};
extern const struct sim_scenario sim_scenarios[]; /* ends with name NULL */

uint32_t sim_add_fault(struct sim *s, const struct sim_fault *f);
void sim_add_occurrence(struct sim *s, uint32_t fault, uint64_t start_ns, uint64_t end_ns);
struct sim_span *sim_add_span(struct sim *s, enum sim_span_kind kind, uint64_t start_ns, uint64_t end_ns);
void sim_sort(struct sim *s);
void sim_free(struct sim *s);

/* simulate.c: what the sensors see of a path in the window that starts at ns; false in an outage. Time only goes on. */
struct observation;
bool sim_observe(struct sim *s, uint32_t path, uint64_t ns, struct observation *ret);
bool sim_observed(const struct sim *s, uint64_t ns);

/* simulate_publish.c: in lockstep with the control that runs on the store at url. */
int sim_publish(struct sim *s, const char *url, struct error *e);

/* simulate_truth.c */
void sim_plan_commands(struct sim *s);
int sim_write_truth(const struct sim *s, const char *scenario, struct error *e);

#endif
