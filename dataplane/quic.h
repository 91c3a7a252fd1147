/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_QUIC_H
#define SPANWARD_QUIC_H

/* QUIC: handshake round trips and the spin bit, by side of the tap. The method is told in quic.c. */

#include "dataplane/app.h"

/* False: this is no QUIC, or not known to be. */
bool quic_meter(struct meter *m);
void quic_take(const struct flow *f, const struct app_head *h, struct rec_flow *r);

/* The first byte and the version of a long header. 0, or -EBADMSG. Exposed for tests and fuzzing. */
struct quic_header {
    uint32_t version;
    bool is_initial;
};
int quic_parse(const uint8_t *payload, uint32_t captured, struct quic_header *ret);

#endif
