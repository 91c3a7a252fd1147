/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DECODE_WIDE_H
#define SPANWARD_DECODE_WIDE_H

/* The short way in one register; see wide.c. For Ethernet, and where no VLAN is in the key. */

#include "dataplane/decode/decode.h"

#define DECODE_AHEAD 8u /* packets whose headers are fetched in advance */

/* Has this processor what it takes? */
bool decode_wide_can(void);

void decode_wide(struct batch *b, const struct decode_options *options);

/* decode.c: one packet of Ethernet, by the short way in plain C or else by the walk. */
void decode_narrow(struct pkt *p, const struct decode_options *options);

/* Two lines: TCP's options reach into the second. */
static inline __attribute__((always_inline)) void decode_fetch(const struct pkt *p)
{
    __builtin_prefetch(p->data);
    __builtin_prefetch(p->data + 64);
}

#endif
