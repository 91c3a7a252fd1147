/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_GLPI_H
#define SPANWARD_GLPI_H

/* What glpi.c, which tells GLPI, and glpi_read.c, which asks it, share. */

#include <jansson.h>
#include <stdbool.h>
#include "control/connectors/connector.h"
#include "control/connectors/http.h"
#include "control/connectors/track.h"

#define GLPI_PEOPLE     16u
#define GLPI_PAGE       50u
#define GLPI_PAGES_MOST 10

enum { STATUS_NEW = 1, STATUS_ASSIGNED = 2, STATUS_SOLVED = 5, STATUS_CLOSED = 6 };

struct glpi_person {
    json_int_t id;
    char name[ENTITY_OWNER_BYTES];
};

/* Owner: the connector's thread. */
struct glpi {
    struct http *http;
    char user_token[256], app_token[256], session[128];
    char type[16];
    json_int_t self; /* our user's id; 0 as long as nobody asked */
    struct glpi_person person[GLPI_PEOPLE];
    unsigned n_people;
    struct track_seen seen;
};

/* One call within a session, which is opened when need be. See track_call. */
bool glpi_call(struct glpi *g, struct http_answer *ret, const char *method, json_t *json, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* "ERROR_ITEM_NOT_FOUND", "" when there is none. */
const char *glpi_error_code(const struct http_answer *a);
/* The end of a failed step, with GLPI's own words: -EIO, and *ret says what it means for the request. */
int glpi_failed(struct http_answer *a, struct connector_answer *ret);
/* A user's login; "" for nobody. */
const char *glpi_user_name(struct glpi *g, json_int_t id);
/* Our own user; 0 when GLPI does not say. */
json_int_t glpi_self(struct glpi *g);
/* Number and address of an item. */
void glpi_set_id(const struct glpi *g, const char *id, struct connector_answer *ret);

/* See connector.h. */
int glpi_find(void *ctx, const struct connector_request *r, struct connector_answer *ret);
int glpi_present(void *ctx, const struct connector_request *r, struct connector_answer *ret);
int glpi_poll(void *ctx, const char *cursor, struct connector_changes *changes, struct connector_answer *ret);
int glpi_check(void *ctx, connector_say_fn *say, void *say_ctx);

#endif
