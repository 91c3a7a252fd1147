/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See settings.h. Nothing of the old settings is touched while new ones are made, so that a mistake in the file costs
 * nothing.
 */

#include "apps/settings.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/site.h"
#include "common/timefmt.h"
#include "control/feed.h"
#include "control/ticket_text.h"

#define TEMPLATE_DIR "/etc/spanward/templates" /* what is not there is built in */

/* Ownership by rule: the first owners entry whose site glob matches a side of the path; then a site's owner; then
 * default. */
static const char *owner_of(const void *ctx, const char *object)
{
    const struct config *c = ctx;
    char sides[2][SITE_NAME_BYTES + 1];
    const char *tilde = strchr(object, '~');
    const char *fallback = "";

    snprintf(sides[0], sizeof(sides[0]), "%.*s", tilde != NULL ? (int)(tilde - object) : (int)strlen(object), object);
    snprintf(sides[1], sizeof(sides[1]), "%s", tilde != NULL ? tilde + 1 : "");
    for (size_t i = 0; i < c->n_owners; i++) {
        const struct config_owner *o = &c->owners[i];
        if (strcmp(o->match_kind, "default") == 0)
            fallback = o->owner;
        else if (strcmp(o->match_kind, "site") == 0 &&
                 (fnmatch(o->match, sides[0], 0) == 0 || fnmatch(o->match, sides[1], 0) == 0))
            return o->owner;
    }
    for (size_t i = 0; i < c->n_sites; i++) {
        const struct config_site *s = &c->sites[i];
        if (s->owner != NULL && (strcmp(s->name, sides[0]) == 0 || strcmp(s->name, sides[1]) == 0))
            return s->owner;
    }
    return fallback;
}

/* The paths behind a configured circuit: from its site to the peer, or to any, in either order of their names. */
static int make_circuits(struct settings *s, struct error *e)
{
    size_t n = s->config->n_circuits;

    s->circuits = calloc(n + 1, sizeof(*s->circuits));
    s->circuit_paths = calloc(n + 1, sizeof(*s->circuit_paths));
    if (s->circuits == NULL || s->circuit_paths == NULL)
        return error_set(e, -ENOMEM, "no memory for the circuits");
    for (size_t i = 0; i < n; i++) {
        const struct config_circuit *k = &s->config->circuits[i];
        const char *peer = k->peer != NULL ? k->peer : "*";
        snprintf(s->circuit_paths[i], sizeof(s->circuit_paths[i]), "%s~%s,%s~%s", k->site, peer, peer, k->site);
        s->circuits[i] = (struct control_circuit){.name = k->id, .objects = s->circuit_paths[i]};
    }
    s->options.circuits = s->circuits;
    s->options.n_circuits = n;
    return 0;
}

static void make_options(struct settings *s, const struct settings_request *r)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    s->options = (struct control_options){
        .detect = {.loss_share = config_double(s->config, "detect.loss_percent") / 100,
                   .rtt_factor = config_double(s->config, "detect.rtt_factor"),
                   .min_pkts = config_u64(s->config, "detect.min_packets"),
                   .holidays = &s->holidays},
        .reopen_window_ns = config_u64(s->config, "detect.reopen_window"),
        .zone = s->zone,
        .connector = dispatch_primary(s->dispatch),
        .dry_run = r->dry_run || strcmp(config_string(s->config, "tickets.mode"), "file") != 0,
        .rules = &s->rules,
        .install = r->install,
        .templates = s->templates,
        .now_wall_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec,
        .owner = owner_of,
        .owner_ctx = s->config,
    };
    dispatch_notifiers(s->dispatch, s->options.notify, CONTROL_NOTIFIERS);
}

int settings_new(struct config *config, const struct settings_request *r, struct settings **ret, struct error *e)
{
    struct settings *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        config_free(config);
        return error_set(e, -ENOMEM, "no memory for the settings");
    }
    s->config = config;
    const char *zone = config_string(config, "time.zone"), *dir = config_string(config, "tickets.templates");
    snprintf(s->zone, sizeof(s->zone), "%s", zone[0] != '\0' ? zone : r->zone);
    int rc = ticket_templates_load(dir[0] != '\0' ? dir : TEMPLATE_DIR, &s->templates, e);
    rc = rc == 0 ? holidays_parse(&s->holidays, config_string(config, "time.holidays"), e) : rc;
    rc = rc == 0 ? feed_scopes_parse(config_string(config, "detect.scopes"), &(unsigned){0}, e) : rc;
    if (rc == 0 && r->connect)
        rc = dispatch_open(config, &s->dispatch, e);
    if (rc == 0) {
        outbox_rules_read(config, &s->rules);
        make_options(s, r);
        rc = make_circuits(s, e);
    }
    if (rc != 0) {
        settings_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void settings_free(struct settings *s)
{
    if (s == NULL)
        return;
    dispatch_close(s->dispatch);
    ticket_templates_free(s->templates);
    free(s->circuits);
    free(s->circuit_paths);
    config_free(s->config);
    free(s);
}
