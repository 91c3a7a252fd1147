/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_RTP_H
#define SPANWARD_RTP_H

/* RTP by SSRC: loss, reordering, copies, jitter. The method is told in rtp.c. */

#include "dataplane/app.h"

#define RTP_PER_FLOW 16u

void rtp_meter(struct meter *m);
bool rtp_is_confirmed(const struct app_head *h);
void rtp_take(const struct flow *f, const struct app_head *h, struct rec_rtp *ret);

/* The fixed header, RFC 3550 section 5.1. 0, or -EBADMSG. Exposed for tests and fuzzing. */
struct rtp_header {
    uint32_t ssrc, timestamp;
    uint16_t seq;
    uint8_t type;
};
int rtp_parse(const uint8_t *payload, uint32_t captured, uint32_t len, struct rtp_header *ret);

/* Clock rate of a static payload type (RFC 3551), 0 = dynamic or unknown. */
uint32_t rtp_clock_hz(uint8_t type);

/* 100 x MOS by a simplified E-model, 0 for a codec that it does not know. An estimate: see rtp.c. */
uint16_t rtp_mos_centi(uint8_t type, uint64_t expected, uint64_t lost, uint64_t jitter_ns);

#endif
