/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_BACKUP_H
#define SPANWARD_BACKUP_H

/*
 * Control's state as a file: every key below sw1:{ctl}: (entities, registers, learned series; not the inbox, which is
 * on its way), taken in one transaction, so that it is the state of one moment. Telemetry is not in it: it expires
 * anyway.
 *
 * The file is text, one JSON object a line:
 *   {"spanward_backup":1,"created_ns":N}
 *   {"key":"incident","field":"INC-1","text":"{...}"}     an entry of a hash; "hex" instead of "text" where it is
 * binary
 *   {"key":"meta","text":"{...}"}                         a string
 *   {"entries":N,"sha256":"..."}                          of all bytes before this line
 * It is read whole and checked before anything is changed: checksum, version, every entity as this release decodes it.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/log.h"
#include "store/store.h"

#define BACKUP_VERSION   1
#define BACKUP_MAX_BYTES (1ull << 30)

struct backup_summary {
    uint64_t created_ns;
    uint64_t keys, entries, bytes;
};

/* Writes a backup. 0, -errno; what was written on an error is no backup (its last line is missing). */
int backup_write(struct store *s, FILE *out, uint64_t now_ns, struct backup_summary *ret, struct error *e);

struct backup;
/* Checks a whole backup of len bytes. -EBADMSG with the line when it is none or damaged, -EPROTO when it is of a
 * version that this release does not know. */
int backup_parse(const char *text, size_t len, struct backup **ret, struct error *e);
void backup_free(struct backup *b);
void backup_summary_get(const struct backup *b, struct backup_summary *ret);

/*
 * Puts the backup in the place of the state in s, all or nothing. -EEXIST when there is a state already and not
 * `replace`. Control must not run meanwhile.
 */
int backup_restore(const struct backup *b, struct store *s, bool replace, struct error *e);

#endif
