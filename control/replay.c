/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From a window stream into control: the same calls, in the same order, as live windows make. All windows with one
 * start are one step. Commits are coarse, since a killed replay simply repeats the steps since the last one.
 */

#include "control/replay.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include "common/timefmt.h"

#define DEFAULT_COMMIT_STEPS 10080

/* Object handles by their number in the stream. */
struct handles {
    struct control_object **item;
    uint32_t n;
};

static int remember(struct control *c, struct handles *h, const struct stream_record *rec)
{
    if (rec->object >= h->n) {
        uint32_t n = rec->object + 1 > h->n * 2 ? rec->object + 1 : h->n * 2;
        struct control_object **grown = realloc(h->item, n * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        for (uint32_t i = h->n; i < n; i++)
            grown[i] = NULL;
        h->item = grown;
        h->n = n;
    }
    h->item[rec->object] = control_object(c, rec->scope, rec->name);
    return h->item[rec->object] != NULL ? 0 : -ENOMEM;
}

struct progress {
    struct control *c;
    const struct replay_options *options;
    struct replay_result *result;
    uint64_t length_ns, step_ns, uncommitted;
    uint64_t command_ns, at_this_time;
};

/* Ends the step that is being collected. 0, 1 to stop, or -errno. */
static int end_step(struct progress *p, struct error *e)
{
    uint64_t every = p->options->commit_steps != 0 ? p->options->commit_steps : DEFAULT_COMMIT_STEPS;
    int rc = 0;

    if (p->step_ns == 0)
        return 0;
    if (control_step(p->c, p->step_ns, p->length_ns)) {
        p->result->steps++;
        p->uncommitted++;
    }
    if (p->uncommitted >= every) {
        rc = control_commit(p->c, e);
        p->uncommitted = 0;
    }
    bool enough = p->options->max_steps != 0 && p->result->steps >= p->options->max_steps;
    if (rc == 0 && (enough || (p->options->stop != NULL && *p->options->stop != 0)))
        rc = 1;
    return rc;
}

/* Of the commands that a stream gave before, whether this is one: `at_this_time` were read with its very time. */
static bool known_command(struct progress *p, uint64_t ns)
{
    uint64_t last_ns, count;

    if (ns != p->command_ns) {
        p->command_ns = ns;
        p->at_this_time = 0;
    }
    p->at_this_time++;
    control_stream_position(p->c, &last_ns, &count);
    return ns < last_ns || (ns == last_ns && p->at_this_time <= count) || ns < control_cursor_ns(p->c);
}

/* Commands of a stream are JSON: actor, verb, object, arguments. What is missing is "". */
static int give_command(struct progress *p, const struct stream_record *rec, struct error *e)
{
    json_error_t why;
    json_t *j = json_loads(rec->command, 0, &why);
    char *arguments = json_dumps(json_object_get(j, "arguments"), JSON_COMPACT);
    const char *actor = json_string_value(json_object_get(j, "actor"));
    const char *verb = json_string_value(json_object_get(j, "verb"));
    const char *object = json_string_value(json_object_get(j, "object"));
    struct control_command command = {.actor = actor != NULL ? actor : "stream",
                                      .verb = verb,
                                      .object = object != NULL ? object : "",
                                      .arguments = arguments != NULL ? arguments : ""};
    int rc = 0;

    if (verb == NULL)
        rc = error_set(e, -EBADMSG, "window stream: a command is not a JSON object with a verb: %.100s", why.text);
    else if (control_stream_command(p->c, &command, rec->start_ns) != 0)
        rc = error_set(e, -ENOMEM, "no memory for a command");
    else
        p->result->commands++;
    free(arguments);
    json_decref(j);
    return rc;
}

/* A command takes effect before the step that begins at its time or holds it. */
static int take_command(struct progress *p, const struct stream_record *rec, struct error *e)
{
    if (p->step_ns != 0 && rec->start_ns >= p->step_ns + p->length_ns) {
        int rc = end_step(p, e);
        p->step_ns = 0;
        if (rc != 0)
            return rc;
    }
    return known_command(p, rec->start_ns) ? 0 : give_command(p, rec, e);
}

static int run(struct progress *p, struct stream_reader *r, struct handles *h, struct error *e)
{
    struct stream_record rec;
    int rc;

    while ((rc = stream_read(r, &rec, e)) == 1) {
        if (rec.kind == STREAM_NAME) {
            rc = remember(p->c, h, &rec);
            if (rc != 0)
                return error_set(e, rc, "no memory for object %u", rec.object);
            continue;
        }
        if (rec.kind == STREAM_COMMAND) {
            rc = take_command(p, &rec, e);
            if (rc != 0)
                return rc;
            continue;
        }
        if (rec.start_ns != p->step_ns) {
            rc = end_step(p, e);
            if (rc != 0)
                return rc;
            p->step_ns = rec.start_ns;
        }
        if (rec.object >= h->n || h->item[rec.object] == NULL)
            return error_set(e, -EBADMSG, "window stream: object %u has no name", rec.object);
        if (rec.start_ns < control_cursor_ns(p->c)) {
            p->result->skipped_windows++;
            continue;
        }
        control_observe(p->c, h->item[rec.object], &rec.o);
        p->result->windows++;
    }
    if (rc < 0)
        return rc;
    rc = end_step(p, e);
    p->result->at_end = rc >= 0;
    return rc;
}

int replay_run(struct control *c, struct stream_reader *r, const struct replay_options *options,
               struct replay_result *ret, struct error *e)
{
    struct handles h = {0};
    struct progress p = {
        .c = c, .options = options, .result = ret, .length_ns = stream_reader_header(r)->window_s * NS_PER_S};

    *ret = (struct replay_result){0};
    int rc = run(&p, r, &h, e);
    free(h.item);
    /* The step in which a stream was cut or is damaged is left out: it may lack objects. */
    if (rc >= 0 || rc == -EPIPE || rc == -EBADMSG) {
        int committed = control_commit(c, rc >= 0 ? e : NULL);
        if (committed != 0)
            return committed;
    }
    return rc > 0 ? 0 : rc;
}
