/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SETTINGS_H
#define SPANWARD_SETTINGS_H

/*
 * All that spanward-control makes of its configuration, as one object that a reload replaces as a whole: ticketing
 * systems, templates, holidays, circuits, thresholds.
 */

#include "common/config.h"
#include "control/control.h"
#include "control/dispatch.h"
#include "control/localtime.h"
#include "control/outbox.h"

#define SETTINGS_CIRCUIT_BYTES 512u

/* Owner: who called settings_new. Not moved: options point into it. */
struct settings {
    struct config *config;
    struct dispatch *dispatch; /* NULL: no ticketing system */
    struct ticket_templates *templates;
    struct outbox_rules rules;
    struct holidays holidays;
    struct control_circuit *circuits; /* of the configuration */
    char (*circuit_paths)[SETTINGS_CIRCUIT_BYTES];
    char zone[64];
    struct control_options options;
};

struct settings_request {
    const char *install; /* outlives the settings */
    const char *zone;    /* where the configuration names none */
    bool dry_run;        /* whatever tickets.mode says */
    bool connect;        /* open the ticketing systems */
};

/* Takes over config, whatever becomes of it. 0, or -errno with what is wrong in e. */
int settings_new(struct config *config, const struct settings_request *r, struct settings **ret, struct error *e);
void settings_free(struct settings *s);

#endif
