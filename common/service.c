/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Services: rules in order of definition, then the well-known ports of ports.def.
 *
 * A bitmap per protocol says whether a port has any name at all; most ports of a flow have none, and the look-up ends
 * there. Only then the rules are walked, at most a few dozen, and the built-in list is searched by halves. Names are
 * kept once: a rule with the name of a built-in service ("https" on tcp/9443) adds to that service, so both are
 * counted together. Indexes do not change while rules are added.
 */

#include "common/service.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 16000u
#define MAX_RULES 65000u

struct well_known {
    uint8_t proto;
    uint16_t port;
    const char *name;
};

enum { PROTO_tcp = IPPROTO_TCP, PROTO_udp = IPPROTO_UDP };

#define PORT(proto, port, name) {PROTO_##proto, port, name},
static const struct well_known well_known[] = {
#include "common/ports.def"
};
#undef PORT
#define N_WELL_KNOWN (sizeof(well_known) / sizeof(well_known[0]))

/* prefix_len is meaningful when af != 0. */
struct rule {
    uint16_t name, first_port, last_port;
    uint8_t proto, af, prefix_len;
    struct ip_addr prefix;
};

/* Invariant: builtin[] is sorted by (proto, port); every rule's and builtin's name is an index below n_names. */
struct service_table {
    char (*names)[SERVICE_NAME_BYTES];
    size_t n_names, names_room;
    struct rule *rules;
    size_t n_rules, rules_room;
    struct rule builtin[N_WELL_KNOWN];
    uint64_t listed[3][65536 / 64]; /* tcp, udp, sctp */
};

static int proto_slot(uint8_t proto)
{
    return proto == IPPROTO_TCP ? 0 : proto == IPPROTO_UDP ? 1 : proto == IPPROTO_SCTP ? 2 : -1;
}

static void set_listed(struct service_table *t, uint8_t proto, unsigned first, unsigned last)
{
    uint64_t *words = t->listed[proto_slot(proto)];

    for (unsigned word = first / 64; word <= last / 64; word++) {
        uint64_t mask = UINT64_MAX;
        if (word == first / 64)
            mask &= UINT64_MAX << first % 64;
        if (word == last / 64)
            mask &= UINT64_MAX >> (63 - last % 64);
        words[word] |= mask;
    }
}

static int name_index(struct service_table *t, const char *name, uint16_t *ret_index)
{
    for (size_t i = 0; i < t->n_names; i++) {
        if (strcmp(t->names[i], name) == 0) {
            *ret_index = (uint16_t)i;
            return 0;
        }
    }
    if (t->n_names >= MAX_NAMES)
        return -E2BIG;
    if (t->n_names == t->names_room) {
        size_t room = t->names_room == 0 ? 256 : t->names_room * 2;
        void *names = reallocarray(t->names, room, SERVICE_NAME_BYTES);
        if (names == NULL)
            return -ENOMEM;
        t->names = names;
        t->names_room = room;
    }
    snprintf(t->names[t->n_names], SERVICE_NAME_BYTES, "%s", name);
    *ret_index = (uint16_t)t->n_names++;
    return 0;
}

static int compare_rules(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;

    return x->proto != y->proto ? x->proto - y->proto : x->first_port - y->first_port;
}

struct service_table *service_table_new(void)
{
    struct service_table *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    for (size_t i = 0; i < N_WELL_KNOWN; i++) {
        const struct well_known *w = &well_known[i];
        struct rule *r = &t->builtin[i];

        *r = (struct rule){.first_port = w->port, .last_port = w->port, .proto = w->proto};
        if (name_index(t, w->name, &r->name) < 0) {
            service_table_free(t);
            return NULL;
        }
        set_listed(t, w->proto, w->port, w->port);
    }
    qsort(t->builtin, N_WELL_KNOWN, sizeof(t->builtin[0]), compare_rules);
    return t;
}

void service_table_free(struct service_table *t)
{
    if (t == NULL)
        return;
    free(t->names);
    free(t->rules);
    free(t);
}

/* Decimal without sign or leading zeros, at most 65535; returns what follows, NULL when it is none. */
static const char *parse_port(const char *p, uint16_t *ret_port)
{
    unsigned value = 0;
    const char *start = p;

    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (unsigned)(*p - '0');
        if (value > 65535)
            return NULL;
    }
    if (p == start || (*start == '0' && p - start > 1))
        return NULL;
    *ret_port = (uint16_t)value;
    return p;
}

static int parse_endpoint(const char *text, struct rule *ret)
{
    static const struct {
        const char *prefix;
        uint8_t proto;
    } protos[] = {{"tcp/", IPPROTO_TCP}, {"udp/", IPPROTO_UDP}, {"sctp/", IPPROTO_SCTP}};
    struct rule r = {0};
    const char *p = NULL;

    for (size_t i = 0; i < 3 && p == NULL; i++) {
        if (strncmp(text, protos[i].prefix, strlen(protos[i].prefix)) == 0) {
            r.proto = protos[i].proto;
            p = text + strlen(protos[i].prefix);
        }
    }
    if (p == NULL || (p = parse_port(p, &r.first_port)) == NULL)
        return -EINVAL;
    r.last_port = r.first_port;
    if (*p == '-' && (p = parse_port(p + 1, &r.last_port)) == NULL)
        return -EINVAL;
    if (r.last_port < r.first_port)
        return -EINVAL;
    if (*p == '@') {
        if (ip_parse_cidr(p + 1, &r.prefix, &r.af, &r.prefix_len) < 0)
            return -EINVAL;
    } else if (*p != '\0') {
        return -EINVAL;
    }
    *ret = r;
    return 0;
}

int service_table_add(struct service_table *t, const char *name, const char *endpoint)
{
    struct rule r;

    if (name[0] == '\0' || strlen(name) >= SERVICE_NAME_BYTES)
        return -EINVAL;
    int err = parse_endpoint(endpoint, &r);
    if (err < 0)
        return err;
    if (t->n_rules >= MAX_RULES)
        return -E2BIG;
    if (t->n_rules == t->rules_room) {
        size_t room = t->rules_room == 0 ? 16 : t->rules_room * 2;
        struct rule *rules = reallocarray(t->rules, room, sizeof(*rules));
        if (rules == NULL)
            return -ENOMEM;
        t->rules = rules;
        t->rules_room = room;
    }
    err = name_index(t, name, &r.name);
    if (err < 0)
        return err;
    t->rules[t->n_rules++] = r;
    set_listed(t, r.proto, r.first_port, r.last_port);
    return 0;
}

bool service_is_listed(const struct service_table *t, uint8_t proto, uint16_t port)
{
    int slot = proto_slot(proto);

    return slot >= 0 && (t->listed[slot][port / 64] >> port % 64 & 1) != 0;
}

static bool prefix_holds(const struct rule *r, const struct ip_addr *addr, uint8_t af)
{
    unsigned whole = r->prefix_len / 8, rest = r->prefix_len % 8;

    if (r->af == 0)
        return true;
    if (r->af != af || memcmp(r->prefix.byte, addr->byte, whole) != 0)
        return false;
    return rest == 0 || ((r->prefix.byte[whole] ^ addr->byte[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

struct service_id service_lookup(const struct service_table *t, uint8_t proto, uint16_t port,
                                 const struct ip_addr *server, uint8_t af)
{
    struct service_id none = {.port = port, .proto = proto};

    if (!service_is_listed(t, proto, port))
        return none;
    for (size_t i = 0; i < t->n_rules; i++) {
        const struct rule *r = &t->rules[i];
        if (r->proto == proto && port >= r->first_port && port <= r->last_port && prefix_holds(r, server, af))
            return (struct service_id){.named = (uint16_t)(r->name + 1)};
    }
    struct rule key = {.proto = proto, .first_port = port};
    const struct rule *r = bsearch(&key, t->builtin, N_WELL_KNOWN, sizeof(key), compare_rules);
    return r != NULL ? (struct service_id){.named = (uint16_t)(r->name + 1)} : none;
}

void service_name(const struct service_table *t, struct service_id id, char *ret_name)
{
    char number[8];

    if (id.named != 0) {
        assert(id.named <= t->n_names);
        snprintf(ret_name, SERVICE_NAME_BYTES, "%s", t->names[id.named - 1]);
    } else if (proto_slot(id.proto) >= 0) {
        snprintf(ret_name, SERVICE_NAME_BYTES, "%s/%u", proto_name(id.proto, number), id.port);
    } else {
        snprintf(ret_name, SERVICE_NAME_BYTES, "%s", proto_name(id.proto, number)); /* a protocol without ports */
    }
}

const char *proto_name(uint8_t proto, char *buf)
{
    static const struct {
        uint8_t proto;
        const char *name;
    } names[] = {{IPPROTO_ICMP, "icmp"}, {IPPROTO_IGMP, "igmp"},      {IPPROTO_IPIP, "ipip"}, {IPPROTO_TCP, "tcp"},
                 {IPPROTO_UDP, "udp"},   {IPPROTO_IPV6, "ipv6"},      {IPPROTO_RSVP, "rsvp"}, {IPPROTO_GRE, "gre"},
                 {IPPROTO_ESP, "esp"},   {IPPROTO_AH, "ah"},          {88, "eigrp"},          {IPPROTO_ICMPV6, "icmp6"},
                 {89, "ospf"},           {IPPROTO_PIM, "pim"},        {112, "vrrp"},          {115, "l2tp"},
                 {IPPROTO_SCTP, "sctp"}, {IPPROTO_UDPLITE, "udplite"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].proto == proto)
            return names[i].name;
    snprintf(buf, 8, "%u", proto);
    return buf;
}
