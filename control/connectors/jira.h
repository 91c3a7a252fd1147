/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_JIRA_H
#define SPANWARD_JIRA_H

/* What jira.c, which tells Jira, and jira_read.c, which asks it, share. */

#include <jansson.h>
#include <stdbool.h>
#include "control/connectors/connector.h"
#include "control/connectors/http.h"
#include "control/connectors/track.h"

#define JIRA_PEOPLE 16u

/* Who is who: the name that our configuration uses and Jira's account. */
struct jira_person {
    char name[ENTITY_OWNER_BYTES], account[128];
};

/* Owner: the connector's thread. */
struct jira {
    struct http *http;
    bool cloud;
    bool no_priority; /* the project's screens have none */
    char project[64], type[64], resolution[64];
    char self[128]; /* our account; "" as long as nobody asked */
    struct jira_person person[JIRA_PEOPLE];
    unsigned n_people;
    struct track_seen seen;
};

/* "/rest/api/3" or "/rest/api/2". */
const char *jira_api(const struct jira *j);
/* What a user is known by: "accountId" or "name". */
const char *jira_account_field(const struct jira *j);
/* The end of a failed step, with Jira's own words: -EIO, and *ret says what it means for the request. */
int jira_failed(struct http_answer *a, struct connector_answer *ret);
/* Our name for a user of theirs. */
const char *jira_name_of(const struct jira *j, const json_t *user);
/* A status's category: "new", "indeterminate", "done". */
const char *jira_category(const json_t *status);
/* A comment as plain text. malloc'd; NULL without memory. */
char *jira_comment_text(const struct jira *j, const json_t *comment);
/* The address of the issue in ret->remote_id. */
void jira_set_url(const struct jira *j, struct connector_answer *ret);

/* See connector.h. */
int jira_find(void *ctx, const struct connector_request *r, struct connector_answer *ret);
int jira_present(void *ctx, const struct connector_request *r, struct connector_answer *ret);
int jira_poll(void *ctx, const char *cursor, struct connector_changes *changes, struct connector_answer *ret);
int jira_check(void *ctx, connector_say_fn *say, void *say_ctx);

#endif
