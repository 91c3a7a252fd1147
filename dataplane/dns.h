/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_DNS_H
#define SPANWARD_DNS_H

/*
 * DNS (RFC 1035) over UDP, and over TCP by dns_tcp.c: one transaction per (flow, id, question), with its RTT, response
 * code and retries.
 *
 * The RTT runs from the first query to the first answer, which is what the user waited. A second answer is ignored; an
 * answer without its query is kept with its RTT unknown. Transactions wait in a bounded pool and leave with their flow;
 * a flow keeps at most DNS_PER_FLOW of them and says so when there were more.
 */

#include "dataplane/meter.h"

#define DNS_PER_FLOW 512u
#define DNS_NAME_MAX 254u

struct dns_entry {
    uint64_t asked_ns;
    uint32_t next;
    struct rec_dns rec;
};

struct dns_pool {
    struct dns_entry *entry; /* [0] unused */
    uint32_t n, fresh, free_head, in_use;
    uint64_t exhausted;
};

int dns_pool_init(struct dns_pool *pool, uint32_t n);
void dns_pool_fini(struct dns_pool *pool);

/* A UDP packet to or from port 53. */
void dns_meter(struct meter *m, struct dns_pool *pool);

/* One message; `captured` bytes of it are there. */
void dns_message(struct meter *m, struct dns_pool *pool, const uint8_t *message, uint32_t captured);

/* How many transactions the flow has; counts the unanswered ones into the windows. */
uint32_t dns_finish(struct meter *m, const struct dns_pool *pool);

/* Copies the transactions to `ret` and frees them. */
void dns_take(struct meter *m, struct dns_pool *pool, struct rec_dns *ret, uint32_t max);

/*
 * Parses a DNS message as far as its question. 0, or -EBADMSG. Bounded by len whatever the message says.
 * Exposed for tests and fuzzing.
 */
struct dns_question {
    uint16_t id, flags, qtype;
    uint8_t name_len;
    uint8_t name[DNS_NAME_MAX];
};
int dns_parse(const uint8_t *message, uint32_t len, struct dns_question *ret);

#endif
