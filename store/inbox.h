/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_INBOX_H
#define SPANWARD_INBOX_H

/*
 * The way in for people: commands from the CLI to control, through the store.
 *
 * A command is an entry of the stream sw1:{ctl}:inbox; Redis gives it its id. Control reads from the position that is
 * in its meta entity, carries the command out and commits the change, an audit entity of the command's id and the new
 * position in one MULTI: a command is carried out once, whatever is killed when. Who sent it finds the result in the
 * audit entity. Old entries are trimmed; the audit stays.
 */

#include <stddef.h>
#include <stdint.h>
#include "common/log.h"
#include "store/entities.h"
#include "store/store.h"

#define INBOX_ID_BYTES        44
#define INBOX_VERB_BYTES      32
#define INBOX_ARGUMENTS_BYTES 8192

/* All text is as the sender gave it: not trusted. */
struct inbox_command {
    char id[INBOX_ID_BYTES]; /* filled in by inbox_put and inbox_read */
    char actor[ENTITY_OWNER_BYTES];
    char verb[INBOX_VERB_BYTES];           /* "assign", "change.add" */
    char object[WINDOW_NAME_BYTES];        /* "PRB-1", a path, or "" */
    char arguments[INBOX_ARGUMENTS_BYTES]; /* a JSON object, or "" */
    uint64_t given_wall_ns;
};

/* Sends a command and fills in its id. 0 or -errno. */
int inbox_put(struct store *s, struct inbox_command *command, struct error *e);

/*
 * Commands after the position ("" = from the beginning), at most max; free *ret. block_ms > 0 waits so long for the
 * first. Entries that do not decode come with an empty verb, so that the position still passes them.
 */
int inbox_read(struct store *s, const char *position, size_t max, unsigned block_ms, struct inbox_command **ret,
               size_t *ret_n, struct error *e);

/* Waits until control has answered: 1 and the audit entity, 0 when the time is over, or -errno. */
int inbox_wait(struct store *s, const char *id, unsigned timeout_ms, struct entity_audit *ret_audit, struct error *e);

#endif
