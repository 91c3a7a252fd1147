/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What people decide about a proposed new normal (level.c): baseline.approve and baseline.refuse. The object of the
 * command is "SCOPE|NAME|METRIC"; a name without a scope is a path's. The audit keeps who did it and by which factor.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/internal.h"
#include "control/level.h"

/* The series that "SCOPE|NAME|METRIC" names; NULL when control has none. */
static struct series *find_series(struct control *c, const char *text)
{
    for (size_t i = 0; i < c->objects.n; i++) {
        struct control_object *o = c->objects.item[i];
        for (enum metric m = 0; m < METRIC_COUNT; m++) {
            char name[SERIES_NAME_BYTES];
            if (o->line[m].series == NULL)
                continue;
            series_name(name, sizeof(name), o, m);
            const char *bare = o->scope == SCOPE_PATH ? strchr(name, '|') + 1 : name;
            if (strcmp(name, text) == 0 || strcmp(bare, text) == 0) {
                quiet_leave(&o->quiet, 1u << m); /* it is about to change */
                return o->line[m].series;
            }
        }
    }
    return NULL;
}

static int decide(struct control *c, struct command_call *call, struct error *e, bool approve)
{
    struct series *x = find_series(c, call->object);

    if (x == NULL)
        return error_set(e, -ENOENT, "no baseline '%.140s': SCOPE|NAME|METRIC", call->object);
    double factor = level_factor(x);
    int rc = approve ? series_approve(x, e) : series_refuse(x, (uint32_t)(call->when_ns / (60 * NS_PER_S)), e);
    if (rc == 0)
        snprintf(call->result, sizeof(call->result), "%s: %.120s, %.2f times what was usual", call->verb, call->object,
                 factor);
    return rc;
}

static int approve(struct control *c, struct command_call *call, struct error *e)
{
    return decide(c, call, e, true);
}

static int refuse(struct control *c, struct command_call *call, struct error *e)
{
    return decide(c, call, e, false);
}

const struct command_verb baseline_verbs[] = {
    {"baseline.approve", approve},
    {"baseline.refuse", refuse},
    {NULL, NULL},
};
