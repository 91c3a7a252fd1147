/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_WRAP_H
#define SPANWARD_LAB_WRAP_H

/* What stands between the hosts and the tap: tags or a tunnel around each captured frame, and address translation. */

#include <stddef.h>
#include <stdint.h>
#include "tests/lab/frame.h"
#include "tests/lab/scenario.h"

#define LAB_WRAP_MAX 50 /* bytes in front, at most */

/* Writes the frame as the tap shows it into `ret` (LAB_FRAME_MAX + LAB_WRAP_MAX bytes); returns its length. `number`
 * tells outer packets apart, `to` says in which direction they go. */
size_t lab_wrap(enum lab_wrap_kind kind, const uint8_t *frame, size_t len, enum lab_side to, uint64_t number,
                uint8_t *ret);

/* Replaces the first prefix->len bits of the source (or destination) address by those of the prefix (RFC 3022, basic
 * NAT) and corrects the checksums. IPv4 only; anything else is left as it is. */
void lab_translate(uint8_t *frame, size_t len, bool source, const struct lab_prefix *prefix);

#endif
