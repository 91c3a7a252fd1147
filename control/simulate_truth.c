/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the plan says, told twice: to control as commands in the stream (circuits, changes, maintenance, fixes), as
 * people would enter them, and to the score-keeper as the truth file. docs/SIMULATION.md describes both.
 */

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "control/simulate_internal.h"

static void add_command(struct sim *s, uint64_t time_ns, const char *verb, const char *object, json_t *arguments)
{
    json_t *j =
        json_pack("{s:s,s:s,s:s,s:o}", "actor", "simulator", "verb", verb, "object", object, "arguments", arguments);
    char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

    json_decref(j);
    if (s->n_commands == s->room_commands) {
        uint32_t room = s->room_commands == 0 ? 64 : s->room_commands * 2;
        struct sim_command *grown = realloc(s->command, room * sizeof(*grown));
        if (grown != NULL) {
            s->command = grown;
            s->room_commands = room;
        }
    }
    if (text == NULL || s->n_commands == s->room_commands) {
        s->failed = true;
        free(text);
        return;
    }
    if (time_ns < s->start_ns)
        time_ns = s->start_ns;
    s->command[s->n_commands] = (struct sim_command){time_ns, s->n_commands, text};
    s->n_commands++;
}

static json_t *seconds(uint64_t ns)
{
    return json_integer((json_int_t)(ns / NS_PER_S));
}

void sim_plan_commands(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_spans[SIM_CIRCUIT]; i++) {
        const struct sim_span *x = s->span[SIM_CIRCUIT][i];
        add_command(s, s->start_ns, "circuit.add", "",
                    json_pack("{s:s,s:s}", "title", x->title, "objects", x->objects));
    }
    for (uint32_t i = 0; i < s->n_spans[SIM_MAINTENANCE]; i++) {
        const struct sim_span *x = s->span[SIM_MAINTENANCE][i];
        add_command(s, x->start_ns - 24 * NS_PER_HOUR, "maintenance.add", "",
                    json_pack("{s:s,s:s,s:o,s:o}", "title", x->title, "objects", x->objects, "start_s",
                              seconds(x->start_ns), "end_s", seconds(x->end_ns)));
    }
    for (uint32_t i = 0; i < s->n_spans[SIM_CHANGE]; i++) {
        const struct sim_span *x = s->span[SIM_CHANGE][i];
        add_command(s, x->start_ns, "change.add", "", json_pack("{s:s,s:s}", "title", x->title, "objects", x->objects));
    }
    for (uint32_t i = 0; i < s->n_faults; i++) {
        const struct sim_fault *f = &s->fault[i];
        if (f->fixed_ns != 0)
            add_command(s, f->fixed_ns, "resolve", s->path[f->path].name,
                        json_pack("{s:s,s:s,s:s}", "fault", fault_class_name(f->fault), "direction",
                                  fault_direction_name(f->direction), "reason", "fixed, says the carrier"));
    }
}

/* --- the truth --- */

static json_t *times(uint64_t start_ns, uint64_t end_ns)
{
    return json_pack("{s:I,s:I}", "start_ns", (json_int_t)start_ns, "end_ns", (json_int_t)end_ns);
}

static void put_optional(json_t *j, const struct sim_fault *f)
{
    if (f->weekday >= 0)
        json_object_set_new(j, "weekday", json_integer(f->weekday));
    if (f->from_hour >= 0) {
        json_object_set_new(j, "from_hour", json_integer(f->from_hour));
        json_object_set_new(j, "to_hour", json_integer(f->to_hour));
    }
    if (f->hit_rate > 0)
        json_object_set_new(j, "hit_rate", json_real(f->hit_rate));
    if (f->per_day > 0)
        json_object_set_new(j, "per_day", json_real(f->per_day));
    if (f->period_min > 0)
        json_object_set_new(j, "period_min", json_integer(f->period_min));
    if (f->change != NULL)
        json_object_set_new(j, "change", json_string(f->change));
    if (f->fixed_ns != 0)
        json_object_set_new(j, "fix",
                            json_pack("{s:I,s:b}", "at_ns", (json_int_t)f->fixed_ns, "works", (int)f->fix_works));
    if (f->fault == FAULT_LOSS)
        json_object_set_new(j, "side", json_string(f->upstream ? "upstream" : "downstream"));
}

static json_t *faults_to_json(const struct sim *s)
{
    json_t *all = json_array(), **list = calloc(s->n_faults + 1, sizeof(json_t *));

    for (uint32_t i = 0; list != NULL && i < s->n_faults; i++) {
        const struct sim_fault *f = &s->fault[i];
        list[i] = json_array();
        if (f->silent) {
            json_decref(list[i]);
            list[i] = NULL;
            continue;
        }
        json_t *j = json_pack("{s:i,s:s,s:s,s:s,s:s,s:f}", "id", (int)i, "kind", f->kind, "path", s->path[f->path].name,
                              "fault", fault_class_name(f->fault), "direction", fault_direction_name(f->direction),
                              "magnitude", f->magnitude);
        put_optional(j, f);
        json_object_set(j, "occurrences", list[i]);
        json_array_append_new(all, j);
    }
    for (uint32_t k = 0; list != NULL && k < s->n_occurrences; k++) {
        const struct sim_occurrence *x = &s->occurrence[k];
        if (list[x->fault] != NULL)
            json_array_append_new(list[x->fault], times(x->start_ns, x->end_ns));
    }
    for (uint32_t i = 0; list != NULL && i < s->n_faults; i++)
        json_decref(list[i]);
    free(list);
    return all;
}

static json_t *span_to_json(const struct sim *s, enum sim_span_kind kind, const struct sim_span *x)
{
    json_t *j = times(x->start_ns, x->end_ns);

    if (kind == SIM_CASCADE || kind == SIM_CIRCUIT) {
        json_t *paths = json_array();
        for (uint32_t i = 0; i < x->n_paths; i++)
            json_array_append_new(paths, json_string(s->path[x->first_path + i].name));
        json_object_set_new(j, kind == SIM_CASCADE ? "circuit" : "title", json_string(x->title));
        json_object_set_new(j, "paths", paths);
    } else if (kind == SIM_MAINTENANCE || kind == SIM_CHANGE) {
        json_object_set_new(j, "title", json_string(x->title));
        json_object_set_new(j, "objects", json_string(x->objects));
    } else if (kind == SIM_CAPTURE) {
        json_object_set_new(j, "share", json_real(x->share));
    }
    if (kind == SIM_CHANGE)
        json_object_set_new(j, "fault", x->fault >= 0 ? json_integer(x->fault) : json_null());
    return j;
}

int sim_write_truth(const struct sim *s, const char *scenario, struct error *e)
{
    static const char *const names[SIM_SPAN_COUNT] = {
#define X(symbol, name) name,
        SIM_SPANS(X)
#undef X
    };
    json_t *j = json_pack("{s:i,s:s,s:I,s:i,s:i,s:I,s:I,s:i,s:s,s:o}", "version", 1, "scenario", scenario, "seed",
                          (json_int_t)s->o->seed, "weeks", (int)s->o->weeks, "paths", (int)s->n_paths, "start_ns",
                          (json_int_t)s->start_ns, "end_ns", (json_int_t)s->end_ns, "window_s", (int)s->window_s,
                          "zone", s->o->zone != NULL ? s->o->zone : "", "faults", faults_to_json(s));

    for (unsigned k = 0; j != NULL && k < SIM_SPAN_COUNT; k++) {
        json_t *list = json_array();
        for (uint32_t i = 0; i < s->n_spans[k]; i++)
            json_array_append_new(list, span_to_json(s, k, s->span[k][i]));
        json_object_set_new(j, names[k], list);
    }
    int rc = j != NULL && json_dump_file(j, s->o->truth_path, JSON_INDENT(1)) == 0 ? 0 : -1;
    json_decref(j);
    return rc == 0 ? 0 : error_set(e, -EIO, "cannot write the truth to %.120s", s->o->truth_path);
}
