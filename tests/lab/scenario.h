/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_LAB_SCENARIO_H
#define SPANWARD_LAB_SCENARIO_H

/*
 * What one run of the lab does: who talks to whom, how far each end is from the tap, and which frames are harmed.
 * Read from lines of text (a file or the command line, see docs/LAB.md); nothing here touches the network.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/log.h"

/* The tap sees two sides. A direction is named by the side it goes to. */
enum lab_side { LAB_LEFT, LAB_RIGHT, LAB_SIDES };

const char *lab_side_name(enum lab_side side);

/* Addresses are kept as IPv6, IPv4 mapped (RFC 4291 2.5.5.2), so that one body serves both. */
struct lab_addrs {
    struct in6_addr first;
    uint32_t count; /* consecutive addresses */
};

struct lab_prefix {
    struct in6_addr addr;
    uint8_t len; /* of the 128 bits; 0 matches all */
};

/* Inclusive; a draw from it is uniform. */
struct lab_range {
    uint64_t lo, hi;
};

/* What can be done to a frame: A(symbol, name in scenarios and truth, what it does). */
#define LAB_ACTIONS(A)                                                                                                 \
    A(LOSE_UP, "lose-up", "drop it between its sender and the tap")                                                    \
    A(LOSE_DOWN, "lose-down", "drop it between the tap and its receiver")                                              \
    A(MISS, "miss", "deliver it, but leave it out of the capture")                                                     \
    A(COPY, "copy", "capture it twice, as a mirror of two ports does")                                                 \
    A(HOP, "hop", "capture it again behind a router: TTL less 1, new MACs, later")                                     \
    A(HOLD_UP, "hold-up", "let it be overtaken between its sender and the tap")                                        \
    A(HOLD_DOWN, "hold-down", "let it be overtaken between the tap and its receiver")                                  \
    A(HOLD_COPY, "hold-copy", "deliver it in time, but capture it later")                                              \
    A(STALL_UP, "stall-up", "stop all that matches before the tap for a while, order kept")                            \
    A(STALL_DOWN, "stall-down", "stop all that matches behind the tap for a while, order kept")

enum lab_action {
#define A(symbol, name, text) LAB_##symbol,
    LAB_ACTIONS(A)
#undef A
        LAB_ACTION_COUNT
};

const char *lab_action_name(enum lab_action action);

/* Which frames a rule looks at. */
enum lab_kind { LAB_ANY, LAB_DATA, LAB_ACK, LAB_SYN, LAB_FIN, LAB_UDP, LAB_ICMP };
enum lab_resend { LAB_RESEND_ANY, LAB_RESEND_NO, LAB_RESEND_ONLY };

/* One line "rule …". A frame that matches is counted; of the counted ones some are hit. */
struct lab_rule {
    uint32_t action; /* enum lab_action */
    uint32_t to;     /* enum lab_side, LAB_SIDES = both */
    uint32_t kind;   /* enum lab_kind */
    uint32_t resend; /* enum lab_resend */
    struct lab_prefix match;
    uint64_t port;               /* either end, 0 = all */
    uint64_t every;              /* every nth; 0 = not used */
    double probability;          /* with seed; 0 = not used */
    uint64_t burst;              /* frames hit in a row, at least 1 */
    uint64_t skip;               /* the first ones are left alone */
    uint64_t max;                /* hits at most, 0 = no limit */
    struct lab_range by_ns;      /* hold, copy and transit times, length of a stall */
    struct lab_range between_ns; /* time since the start */
    bool per_flow;               /* count per flow and direction, not over all */
    bool also;                   /* hits frames that an earlier rule has hit */
};

/* One line "delay …": propagation between a side and the tap, one way. The first that matches counts. */
struct lab_delay {
    uint32_t side;
    uint64_t by_ns;
    struct lab_prefix match;
};

enum lab_traffic_kind {
    LAB_RR,        /* connections with requests and responses; bulk and short ones are forms of it */
    LAB_REFUSED,   /* connect to a port that nobody serves */
    LAB_BLACKHOLE, /* connect to an address that nobody has */
    LAB_DNS,
    LAB_PING
};

/* One line "traffic …": each client address runs `parallel` threads, each of which does `count` rounds. */
struct lab_traffic {
    uint32_t kind; /* enum lab_traffic_kind */
    uint32_t from; /* side of the clients */
    struct lab_addrs client;
    struct lab_addrs server; /* client i talks to server i modulo their number */
    uint64_t port;
    uint64_t parallel, count;
    struct lab_range start_ns, gap_ns; /* before the first round, between rounds */
    struct lab_range requests;         /* per connection */
    struct lab_range req_bytes, resp_bytes;
    struct lab_range think_ns;        /* client, between requests */
    struct lab_range server_think_ns; /* server, between request and response */
    struct lab_range timeout_ns;      /* connect, DNS */
    uint64_t pace_bytes_per_s;        /* of the server's socket, 0 = none */
};

struct lab_sysctl {
    uint32_t side; /* LAB_SIDES = both */
    char key[80];  /* dotted */
    char value[80];
};

/* What the tap sees around each frame. */
enum lab_wrap_kind { LAB_WRAP_NONE, LAB_WRAP_QINQ, LAB_WRAP_VXLAN };

#define LAB_MAX_RULES   64
#define LAB_MAX_DELAYS  32
#define LAB_MAX_TRAFFIC 64
#define LAB_MAX_SYSCTLS 32

/* Immutable once parsed. */
struct lab_scenario {
    uint64_t seed;
    uint64_t epoch_ns;                   /* capture time at the start; 0 = the wall clock */
    uint64_t time_ns;                    /* the run is cut after this */
    uint64_t size_bytes;                 /* of the capture; the run is cut beyond it */
    uint64_t snap_bytes;                 /* of each frame that is kept */
    uint64_t mss_bytes;                  /* 0 = from the MTU */
    uint64_t rate_bits_per_s[LAB_SIDES]; /* of the link of a side, both ways; 0 = not limited */
    char congestion[16];                 /* of every TCP socket */
    uint32_t wrap;                       /* enum lab_wrap_kind */
    struct lab_prefix nat;               /* the left hosts' addresses have this prefix at the tap; len 0 = their own */
    char mirror[16];                     /* device that gets a copy of the capture as it happens; "" = none */
    bool whole_udp;                      /* UDP is not cut by snap */
    struct lab_rule rules[LAB_MAX_RULES];
    size_t n_rules;
    struct lab_delay delays[LAB_MAX_DELAYS];
    size_t n_delays;
    struct lab_traffic traffic[LAB_MAX_TRAFFIC];
    size_t n_traffic;
    struct lab_sysctl sysctls[LAB_MAX_SYSCTLS];
    size_t n_sysctls;
};

/* The defaults: IPv4 and IPv6, cubic, SACK and timestamps on, no delay, no rule, no traffic. */
void lab_scenario_init(struct lab_scenario *s);

/* Adds one line; empty ones and those that start with '#' do nothing. -EINVAL with the reason. */
int lab_scenario_line(struct lab_scenario *s, const char *line, struct error *e);

/* Adds all lines of a file; the error names file and line. */
int lab_scenario_file(struct lab_scenario *s, const char *path, struct error *e);

struct in6_addr lab_addr_nth(const struct lab_addrs *a, uint32_t i);
bool lab_prefix_matches(const struct lab_prefix *p, const struct in6_addr *addr);
bool lab_addr_is_v4(const struct in6_addr *addr);
/* buf has INET6_ADDRSTRLEN bytes; returns it. */
char *lab_addr_format(const struct in6_addr *addr, char *buf);

#endif
