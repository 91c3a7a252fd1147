/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_STORE_CODEC_H
#define SPANWARD_STORE_CODEC_H

/*
 * A window packed into two values of at most 64 bytes each. Byte by byte in docs/SCHEMA.md.
 *
 *   byte 0      version << 4 | half << 3 | level       (half 0 traffic and loss, 1 latency and quality)
 *   byte 1      traffic: bits 0-1 quality, bit 2 plain (frame_bytes and judged_pkts are not stored as differences),
 *               bit 3 (version 2): a byte follows, the percentage of the window's time that was not watched
 *               quality: bits 0-3, one per histogram with n > 0
 *   varint      bit i set: field i of the half's table is not zero
 *   numbers     the non-zero fields in the table's order
 *   quality     then for each histogram: n (number), min and max (float16), p10 p50 p90 p99 as steps in buckets
 *   last byte   CRC-8 (polynomial 0x07) of all before
 *
 * A number at level 0 is a LEB128 varint, exact. When the value would be longer than 64 bytes, the next level is tried:
 * numbers below 128 stay exact in one byte, larger ones are rounded to 3, 2 or 1 bytes. Relative error at most 2^-18
 * (level 1), 2^-10 (level 2), 1/4 (level 3, which always fits); of
 * judged_pkts and frame_bytes relative to data_pkts and bytes. min and max: at most 2^-11. Quantiles: the histogram's
 * own bucket (1.6 %); at level 3 within 3 buckets more.
 *
 * Versions. A value is written in the oldest version that can hold it, so that an older reader misses only what it
 * cannot know. Version 1 has the first CODEC_TRAFFIC_V1 and CODEC_QUALITY_V1 fields and no missing_pct.
 */

#include <stddef.h>
#include <stdint.h>
#include "common/window.h"

#define CODEC_BYTES      64
#define CODEC_VERSION    2
#define CODEC_TRAFFIC_V1 35 /* fields of version 1 */
#define CODEC_QUALITY_V1 20

/* Fields in the order of their bits. Append only; an added counter of common/window.h must be added here. */
#define CODEC_TRAFFIC_FIELDS(X)                                                                                        \
    X(dir[0].pkts)                                                                                                     \
    X(dir[1].pkts)                                                                                                     \
    X(dir[0].bytes)                                                                                                    \
    X(dir[1].bytes)                                                                                                    \
    X(dir[0].frame_bytes)                                                                                              \
    X(dir[1].frame_bytes)                                                                                              \
    X(dir[0].data_pkts)                                                                                                \
    X(dir[1].data_pkts)                                                                                                \
    X(dir[0].judged_pkts)                                                                                              \
    X(dir[1].judged_pkts)                                                                                              \
    X(new_flows)                                                                                                       \
    X(ended_flows)                                                                                                     \
    X(peak_1ms_bytes)                                                                                                  \
    X(dir[0].retrans_pkts)                                                                                             \
    X(dir[1].retrans_pkts)                                                                                             \
    X(dir[0].lost_upstream_pkts)                                                                                       \
    X(dir[1].lost_upstream_pkts)                                                                                       \
    X(dir[0].lost_downstream_pkts)                                                                                     \
    X(dir[1].lost_downstream_pkts)                                                                                     \
    X(dir[0].lost_unknown_pkts)                                                                                        \
    X(dir[1].lost_unknown_pkts)                                                                                        \
    X(dir[0].spurious_pkts)                                                                                            \
    X(dir[1].spurious_pkts)                                                                                            \
    X(dir[0].reordered_pkts)                                                                                           \
    X(dir[1].reordered_pkts)                                                                                           \
    X(dir[0].capture_lost_bytes)                                                                                       \
    X(dir[1].capture_lost_bytes)                                                                                       \
    X(dir[0].capture_gaps)                                                                                             \
    X(dir[1].capture_gaps)                                                                                             \
    X(dir[0].dup_pkts)                                                                                                 \
    X(dir[1].dup_pkts)                                                                                                 \
    X(dir[0].second_hop_pkts)                                                                                          \
    X(dir[1].second_hop_pkts)                                                                                          \
    X(one_way_flows)                                                                                                   \
    X(midstream_flows)

#define CODEC_QUALITY_FIELDS(X)                                                                                        \
    X(connects)                                                                                                        \
    X(refused_connects)                                                                                                \
    X(unanswered_connects)                                                                                             \
    X(syn_retries)                                                                                                     \
    X(dir[0].dup_acks)                                                                                                 \
    X(dir[1].dup_acks)                                                                                                 \
    X(dir[0].zero_windows)                                                                                             \
    X(dir[1].zero_windows)                                                                                             \
    X(dir[0].zero_window_us)                                                                                           \
    X(dir[1].zero_window_us)                                                                                           \
    X(dir[0].rst)                                                                                                      \
    X(dir[1].rst)                                                                                                      \
    X(dns_queries)                                                                                                     \
    X(dns_failures)                                                                                                    \
    X(dns_unanswered)                                                                                                  \
    X(icmp_unanswered)                                                                                                 \
    X(icmp_errors)                                                                                                     \
    X(fragments)                                                                                                       \
    X(l2_pkts)                                                                                                         \
    X(truncated_pkts)

enum codec_result { CODEC_OK, CODEC_UNKNOWN_VERSION, CODEC_CORRUPT };

/* Returns the length, 1..CODEC_BYTES. */
size_t codec_pack_traffic(uint8_t ret[CODEC_BYTES], const struct window *w);
/* The same; 0 when there is nothing to store (no field, no sample). */
size_t codec_pack_quality(uint8_t ret[CODEC_BYTES], const struct window *w);

/* Fill in their half's counters, quality or quantiles and touch nothing else; nothing at all unless CODEC_OK. */
enum codec_result codec_unpack_traffic(struct window *w, const uint8_t *value, size_t len);
enum codec_result codec_unpack_quality(struct window *w, const uint8_t *value, size_t len);

#endif
