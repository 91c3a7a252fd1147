/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_SITE_H
#define SPANWARD_SITE_H

/*
 * Sites: named sets of prefixes. An address belongs to the site with the longest prefix that holds it; an
 * address without one falls in an automatic site: its /24 (IPv4) or /48 (IPv6), named by its CIDR.
 *
 * A site id is a small value that compares and copies cheaply and crosses from dataplane to analytics; both
 * turn it into a name with the same table. Look-ups happen once per flow, not per packet.
 */

#include <stdint.h>
#include <stdbool.h>
#include <stddef.h>

#define SITE_NAME_BYTES 64

/* An IP address, v4 in the first 4 bytes with the rest 0; af is 4 or 6. */
struct ip_addr {
    uint8_t byte[16];
};

/* Invariant: named != 0 -> the other fields are 0; else (af, prefix_len, addr) is a masked CIDR. */
struct site_id {
    uint16_t named; /* 1 + index into the table, 0 = automatic */
    uint8_t af;
    uint8_t prefix_len;
    struct ip_addr addr;
};

struct site_table;

struct site_table *site_table_new(void);
void site_table_free(struct site_table *t);

/* Adds `cidr` ("10.1.0.0/16", "2001:db8::/32", or a bare address) to site `name`. -EINVAL, -ENOMEM, -EEXIST when
 * another site has the same prefix, -E2BIG above 65,000 sites. */
int site_table_add(struct site_table *t, const char *name, const char *cidr);

/* Must be called once after the last add and before the first look-up. */
void site_table_finish(struct site_table *t);

struct site_id site_lookup(const struct site_table *t, const struct ip_addr *addr, uint8_t af);

/* Writes the name, at most SITE_NAME_BYTES with its end. */
void site_name(const struct site_table *t, struct site_id id, char *ret_name);
size_t site_count(const struct site_table *t);

/* "192.0.2.7" or "2001:db8::7"; buf has at least 46 bytes; returns buf. */
char *ip_format(const struct ip_addr *addr, uint8_t af, char *buf);

/* Parses "addr/len" or "addr"; -EINVAL when it is neither or has host bits set. */
int ip_parse_cidr(const char *text, struct ip_addr *ret_addr, uint8_t *ret_af, uint8_t *ret_prefix_len);

#endif
