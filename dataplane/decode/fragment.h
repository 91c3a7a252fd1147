/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_FRAGMENT_H
#define SPANWARD_FRAGMENT_H

/*
 * Fragments of IPv4 (RFC 791, RFC 815) and IPv6 (RFC 8200): ports for those that carry none, and the moment at which a
 * datagram is whole. Nothing is reassembled; no byte of payload is kept.
 *
 * The first fragment leaves the ports (ICMP: type and code, or the echo id) in a small table, later ones find them
 * there and count in the same flow. A later fragment that comes before its first, or whose first was never seen, counts
 * in a flow with ports 0: it is not held back.
 *
 * TCP must not take a first fragment for a whole segment: the bytes in the later ones would look lost. So no fragment
 * of a TCP segment is judged (PKT_L4_OK is unset) but the one that completes it, in whatever order they come: that one
 * gets the segment's header fields and its whole payload length. A datagram of which a fragment is missing is never
 * judged, as its receiver never sees it either. UDP and ICMP need only what the first fragment has.
 *
 * A first fragment that lacks its L4 header (RFC 1858, RFC 3128), pieces that overlap in part (RFC 5722 has the whole
 * datagram dropped; a copy of a piece is none), more than 65535 bytes, two different ends, pieces too scattered to
 * follow: counted as malformed, and such a datagram is never judged. Its bytes and packets count as any.
 *
 * The table: 1024 sets of four, keyed by addresses, protocol (IPv4), id, tunnel and VLAN with a seeded hash. An entry
 * lives for 30 s of data time from its first piece; the oldest of a set makes room, counted. A new first fragment
 * 200 ms or more after an entry's first piece is a new datagram under the same id (RFC 4963). A flood thus costs ports
 * of later fragments, and nothing else: every packet does the same bounded work.
 *
 * Owner: one worker.
 */

#include "dataplane/decode/decode.h"

#define FRAGMENT_MAX_AGE_NS 30000000000ull
#define FRAGMENT_COPY_NS    200000000ull

struct fragment_entry;

struct fragments {
    struct fragment_entry *entry;
    uint64_t seed[2];
    uint64_t pieces;    /* fragments seen, copies included */
    uint64_t unmatched; /* later ones without the ports of their first */
    uint64_t malformed;
    uint64_t evicted; /* entries that made room before their datagram was whole */
};

/* 0, -ENOMEM, -EIO without random numbers for the seed. */
int fragments_init(struct fragments *f);
void fragments_fini(struct fragments *f);

/*
 * c->piece is a fragment of the datagram that p->key and p->tunnel describe so far, endpoints still in the order of
 * sender and receiver. Sets ports and verdict-relevant flags of p from the table, or the table's from p.
 */
void fragment_note(const struct cursor *c, struct pkt *p);

#endif
