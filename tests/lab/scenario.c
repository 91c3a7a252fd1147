/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scenario language: one statement per line, words separated by blanks, options as key=value.
 *
 * Every option is a row of a table (name, type, place in the struct), so that a rule, a delay and a traffic line
 * are read by the same loop and an unknown key is always an error. Numbers carry their units: durations ns us ms s
 * m, sizes k M G (1024) after bytes and 1000 after bits, probabilities %. A range is LO-HI, an address list is
 * FIRST*COUNT.
 *
 * Limits: fixed tables (LAB_MAX_…), lines of 1000 bytes, no quoting.
 */

#include "tests/lab/scenario.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_BYTES 1000
#define WORDS_MAX  40

enum option_type {
    OPT_COUNT,    /* uint64_t */
    OPT_BYTES,    /* uint64_t, k M G = 1024^n */
    OPT_BITS,     /* uint64_t, k M G = 1000^n */
    OPT_DURATION, /* uint64_t ns */
    OPT_COUNTS,   /* struct lab_range */
    OPT_SIZES,
    OPT_DURATIONS,
    OPT_PERCENT, /* double, "2.5%" -> 0.025 */
    OPT_PREFIX,
    OPT_ADDRS,
    OPT_FLAG, /* bool: on or off */
    OPT_WORD  /* uint32_t, index in words */
};

struct option {
    const char *name;
    size_t offset;
    const char *const *words; /* OPT_WORD; ends with NULL */
    enum option_type type;
};

struct unit {
    const char *name;
    double factor;
};

static const struct unit unit_duration[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {NULL, 0}};
static const struct unit unit_bytes[] = {{"", 1}, {"k", 1024}, {"M", 1048576}, {"G", 1073741824}, {NULL, 0}};
static const struct unit unit_bits[] = {{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {NULL, 0}};
static const struct unit unit_none[] = {{"", 1}, {NULL, 0}};
static const struct unit unit_percent[] = {{"%", 0.01}, {NULL, 0}};

static const char *const side_words[] = {"left", "right", "both", NULL};
static const char *const kind_words[] = {"any", "data", "ack", "syn", "fin", "udp", "icmp", NULL};
static const char *const resend_words[] = {"any", "no", "only", NULL};
static const char *const action_words[] = {
#define A(symbol, name, text) name,
    LAB_ACTIONS(A)
#undef A
        NULL};

const char *lab_side_name(enum lab_side side)
{
    return side_words[side];
}

const char *lab_action_name(enum lab_action action)
{
    return action_words[action];
}

/* ---- addresses ---- */

bool lab_addr_is_v4(const struct in6_addr *addr)
{
    return IN6_IS_ADDR_V4MAPPED(addr);
}

char *lab_addr_format(const struct in6_addr *addr, char *buf)
{
    if (lab_addr_is_v4(addr))
        inet_ntop(AF_INET, &addr->s6_addr[12], buf, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, addr, buf, INET6_ADDRSTRLEN);
    return buf;
}

struct in6_addr lab_addr_nth(const struct lab_addrs *a, uint32_t i)
{
    struct in6_addr addr = a->first;
    uint32_t low;

    memcpy(&low, &addr.s6_addr[12], sizeof(low));
    low = htonl(ntohl(low) + i);
    memcpy(&addr.s6_addr[12], &low, sizeof(low));
    return addr;
}

bool lab_prefix_matches(const struct lab_prefix *p, const struct in6_addr *addr)
{
    unsigned whole = p->len / 8, rest = p->len % 8;

    if (memcmp(p->addr.s6_addr, addr->s6_addr, whole) != 0)
        return false;
    return rest == 0 || ((p->addr.s6_addr[whole] ^ addr->s6_addr[whole]) >> (8 - rest)) == 0;
}

static int parse_addr(const char *text, struct in6_addr *ret_addr)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        memset(ret_addr, 0, sizeof(*ret_addr));
        ret_addr->s6_addr[10] = ret_addr->s6_addr[11] = 0xff;
        memcpy(&ret_addr->s6_addr[12], &v4, sizeof(v4));
        return 0;
    }
    return inet_pton(AF_INET6, text, ret_addr) == 1 ? 0 : -EINVAL;
}

/* ---- values ---- */

/* "1.5ms" in the given units; *ret_end points behind it. */
static int parse_number(const char *text, const struct unit *units, double *ret_value, const char **ret_end)
{
    char *end;
    double value = strtod(text, &end);
    size_t len = 0;

    if (end == text || !isfinite(value) || value < 0)
        return -EINVAL;
    while (isalpha((unsigned char)end[len]) || end[len] == '%')
        len++;
    for (; units->name != NULL; units++) {
        if (strlen(units->name) == len && strncmp(units->name, end, len) == 0) {
            *ret_value = value * units->factor;
            *ret_end = end + len;
            return *ret_value < 1e18 ? 0 : -EINVAL;
        }
    }
    return -EINVAL;
}

static int parse_u64(const char *text, const struct unit *units, uint64_t *ret)
{
    const char *end;
    double value;

    if (parse_number(text, units, &value, &end) < 0 || *end != '\0')
        return -EINVAL;
    *ret = (uint64_t)llround(value);
    return 0;
}

static int parse_range(const char *text, const struct unit *units, struct lab_range *ret)
{
    const char *end;
    double lo, hi;

    if (parse_number(text, units, &lo, &end) < 0)
        return -EINVAL;
    hi = lo;
    if (*end == '-' && parse_number(end + 1, units, &hi, &end) < 0)
        return -EINVAL;
    if (*end != '\0' || hi < lo)
        return -EINVAL;
    *ret = (struct lab_range){(uint64_t)llround(lo), (uint64_t)llround(hi)};
    return 0;
}

static int parse_percent(const char *text, double *ret)
{
    const char *end;
    double value;

    if (parse_number(text, unit_percent, &value, &end) < 0 || *end != '\0' || value > 1)
        return -EINVAL;
    *ret = value;
    return 0;
}

static int parse_prefix(const char *text, struct lab_prefix *ret)
{
    char copy[64];
    struct lab_prefix p;
    uint64_t len = 128, max;
    char *slash;

    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return -EINVAL;
    slash = strchr(copy, '/');
    if (slash != NULL)
        *slash = '\0';
    if (parse_addr(copy, &p.addr) < 0)
        return -EINVAL;
    max = lab_addr_is_v4(&p.addr) ? 32 : 128;
    if (slash != NULL && (parse_u64(slash + 1, unit_none, &len) < 0 || len > max))
        return -EINVAL;
    p.len = (uint8_t)(slash == NULL ? 128 : 128 - max + len);
    *ret = p;
    return 0;
}

static int parse_addrs(const char *text, struct lab_addrs *ret)
{
    char copy[64];
    uint64_t count = 1;
    char *star;

    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return -EINVAL;
    star = strchr(copy, '*');
    if (star != NULL) {
        *star = '\0';
        if (parse_u64(star + 1, unit_none, &count) < 0 || count < 1 || count > 1000)
            return -EINVAL;
    }
    ret->count = (uint32_t)count;
    return parse_addr(copy, &ret->first);
}

static int parse_word(const char *text, const char *const *words, uint32_t *ret)
{
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_flag(const char *text, bool *ret)
{
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
        return -EINVAL;
    *ret = strcmp(text, "on") == 0;
    return 0;
}

static int parse_value(const struct option *o, const char *text, void *place)
{
    switch (o->type) {
    case OPT_COUNT:
        return parse_u64(text, unit_none, place);
    case OPT_BYTES:
        return parse_u64(text, unit_bytes, place);
    case OPT_BITS:
        return parse_u64(text, unit_bits, place);
    case OPT_DURATION:
        return parse_u64(text, unit_duration, place);
    case OPT_COUNTS:
        return parse_range(text, unit_none, place);
    case OPT_SIZES:
        return parse_range(text, unit_bytes, place);
    case OPT_DURATIONS:
        return parse_range(text, unit_duration, place);
    case OPT_PERCENT:
        return parse_percent(text, place);
    case OPT_PREFIX:
        return parse_prefix(text, place);
    case OPT_ADDRS:
        return parse_addrs(text, place);
    case OPT_FLAG:
        return parse_flag(text, place);
    case OPT_WORD:
        return parse_word(text, o->words, place);
    }
    return -EINVAL;
}

static const struct option *option_find(const struct option *table, const char *name)
{
    for (; table->name != NULL; table++) {
        if (strcmp(table->name, name) == 0)
            return table;
    }
    return NULL;
}

/* Reads words[0..n) of the form key=value into the struct at base. */
static int parse_options(const struct option *table, char **words, size_t n, void *base, struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        char *value = strchr(words[i], '=');
        const struct option *o;

        if (value == NULL)
            return error_set(e, -EINVAL, "'%s' is not key=value", words[i]);
        *value++ = '\0';
        o = option_find(table, words[i]);
        if (o == NULL)
            return error_set(e, -EINVAL, "unknown option '%s'", words[i]);
        if (parse_value(o, value, (char *)base + o->offset) < 0)
            return error_set(e, -EINVAL, "bad value '%s' for %s", value, words[i]);
    }
    return 0;
}

/* ---- statements ---- */

#define RULE(name, type, field)                                                                                        \
    {                                                                                                                  \
        name, offsetof(struct lab_rule, field), NULL, type                                                             \
    }
static const struct option rule_options[] = {{"to", offsetof(struct lab_rule, to), side_words, OPT_WORD},
                                             {"kind", offsetof(struct lab_rule, kind), kind_words, OPT_WORD},
                                             {"resend", offsetof(struct lab_rule, resend), resend_words, OPT_WORD},
                                             RULE("match", OPT_PREFIX, match),
                                             RULE("port", OPT_COUNT, port),
                                             RULE("every", OPT_COUNT, every),
                                             RULE("p", OPT_PERCENT, probability),
                                             RULE("burst", OPT_COUNT, burst),
                                             RULE("skip", OPT_COUNT, skip),
                                             RULE("max", OPT_COUNT, max),
                                             RULE("by", OPT_DURATIONS, by_ns),
                                             RULE("between", OPT_DURATIONS, between_ns),
                                             RULE("per-flow", OPT_FLAG, per_flow),
                                             RULE("also", OPT_FLAG, also),
                                             {0}};

#define TRAFFIC(name, type, field)                                                                                     \
    {                                                                                                                  \
        name, offsetof(struct lab_traffic, field), NULL, type                                                          \
    }
static const struct option traffic_options[] = {{"from", offsetof(struct lab_traffic, from), side_words, OPT_WORD},
                                                TRAFFIC("client", OPT_ADDRS, client),
                                                TRAFFIC("server", OPT_ADDRS, server),
                                                TRAFFIC("port", OPT_COUNT, port),
                                                TRAFFIC("parallel", OPT_COUNT, parallel),
                                                TRAFFIC("count", OPT_COUNT, count),
                                                TRAFFIC("start", OPT_DURATIONS, start_ns),
                                                TRAFFIC("gap", OPT_DURATIONS, gap_ns),
                                                TRAFFIC("requests", OPT_COUNTS, requests),
                                                TRAFFIC("req", OPT_SIZES, req_bytes),
                                                TRAFFIC("resp", OPT_SIZES, resp_bytes),
                                                TRAFFIC("think", OPT_DURATIONS, think_ns),
                                                TRAFFIC("server-think", OPT_DURATIONS, server_think_ns),
                                                TRAFFIC("timeout", OPT_DURATIONS, timeout_ns),
                                                TRAFFIC("pace", OPT_BYTES, pace_bytes_per_s),
                                                {0}};

static const struct option delay_options[] = {{"match", offsetof(struct lab_delay, match), NULL, OPT_PREFIX}, {0}};

#define SCALAR(name, type, field)                                                                                      \
    {                                                                                                                  \
        name, offsetof(struct lab_scenario, field), NULL, type                                                         \
    }
static const struct option scalar_options[] = {SCALAR("seed", OPT_COUNT, seed),
                                               SCALAR("time", OPT_DURATION, time_ns),
                                               SCALAR("size", OPT_BYTES, size_bytes),
                                               SCALAR("snap", OPT_BYTES, snap_bytes),
                                               SCALAR("mss", OPT_COUNT, mss_bytes),
                                               SCALAR("whole-udp", OPT_FLAG, whole_udp),
                                               {0}};

static int statement_rule(struct lab_scenario *s, char **words, size_t n, struct error *e)
{
    struct lab_rule r = {.to = LAB_SIDES, .burst = 1, .between_ns = {0, UINT64_MAX}};
    int rc;

    if (s->n_rules == LAB_MAX_RULES)
        return error_set(e, -EINVAL, "more than %d rules", LAB_MAX_RULES);
    if (n < 2 || parse_word(words[1], action_words, &r.action) < 0)
        return error_set(e, -EINVAL, "a rule needs an action, such as lose-down");
    rc = parse_options(rule_options, words + 2, n - 2, &r, e);
    if (rc < 0)
        return rc;
    if ((r.every == 0) == (r.probability == 0) || r.burst < 1 || r.port > UINT16_MAX)
        return error_set(e, -EINVAL, "a rule needs either every=N or p=X%%, and burst of 1 or more");
    s->rules[s->n_rules++] = r;
    return 0;
}

static int statement_delay(struct lab_scenario *s, char **words, size_t n, struct error *e)
{
    struct lab_delay d = {0};
    int rc;

    if (s->n_delays == LAB_MAX_DELAYS)
        return error_set(e, -EINVAL, "more than %d delays", LAB_MAX_DELAYS);
    if (n < 3 || parse_word(words[1], side_words, &d.side) < 0 || parse_u64(words[2], unit_duration, &d.by_ns) < 0)
        return error_set(e, -EINVAL, "expected: delay left|right|both DURATION [match=PREFIX]");
    rc = parse_options(delay_options, words + 3, n - 3, &d, e);
    if (rc < 0)
        return rc;
    s->delays[s->n_delays++] = d;
    return 0;
}

static const struct lab_traffic traffic_defaults = {
    .client = {.count = 0},
    .server = {.count = 0},
    .port = 8080,
    .parallel = 1,
    .count = 1,
    .requests = {1, 1},
    .req_bytes = {200, 200},
    .resp_bytes = {2000, 2000},
    .timeout_ns = {3000000000, 3000000000},
};

/* "bulk" and "short" are rr with other defaults. */
static int traffic_kind(const char *word, struct lab_traffic *t)
{
    static const char *const words[] = {"rr", "refused", "blackhole", "dns", "ping", NULL};

    *t = traffic_defaults;
    if (strcmp(word, "bulk") == 0) {
        t->resp_bytes = (struct lab_range){1048576, 1048576};
        return 0;
    }
    if (strcmp(word, "short") == 0) {
        t->count = 100;
        return 0;
    }
    if (parse_word(word, words, &t->kind) < 0)
        return -EINVAL;
    if (t->kind == LAB_DNS)
        t->port = 53;
    return 0;
}

static int statement_traffic(struct lab_scenario *s, char **words, size_t n, struct error *e)
{
    struct lab_traffic t;
    int rc;

    if (s->n_traffic == LAB_MAX_TRAFFIC)
        return error_set(e, -EINVAL, "more than %d traffic lines", LAB_MAX_TRAFFIC);
    if (n < 2 || traffic_kind(words[1], &t) < 0)
        return error_set(e, -EINVAL, "traffic is rr, bulk, short, refused, blackhole, dns or ping");
    rc = parse_options(traffic_options, words + 2, n - 2, &t, e);
    if (rc < 0)
        return rc;
    if (t.client.count == 0 || t.server.count == 0)
        return error_set(e, -EINVAL, "traffic needs client=ADDRESS and server=ADDRESS");
    if (lab_addr_is_v4(&t.client.first) != lab_addr_is_v4(&t.server.first))
        return error_set(e, -EINVAL, "client and server are of different IP versions");
    if (t.from >= LAB_SIDES || t.port < 1 || t.port > UINT16_MAX || t.parallel < 1 || t.parallel * t.client.count > 512)
        return error_set(e, -EINVAL, "from is left or right, port 1-65535, at most 512 threads");
    s->traffic[s->n_traffic++] = t;
    return 0;
}

static int add_sysctl(struct lab_scenario *s, uint32_t side, const char *key, const char *value, struct error *e)
{
    struct lab_sysctl c = {.side = side};

    if (s->n_sysctls == LAB_MAX_SYSCTLS)
        return error_set(e, -EINVAL, "more than %d sysctls", LAB_MAX_SYSCTLS);
    if (snprintf(c.key, sizeof(c.key), "%s", key) >= (int)sizeof(c.key) ||
        snprintf(c.value, sizeof(c.value), "%s", value) >= (int)sizeof(c.value) || strncmp(key, "net.", 4) != 0 ||
        strchr(key, '/') != NULL)
        return error_set(e, -EINVAL, "'%s' is no sysctl under net", key);
    s->sysctls[s->n_sysctls++] = c;
    return 0;
}

static int statement_sysctl(struct lab_scenario *s, char **words, size_t n, struct error *e)
{
    uint32_t side;

    if (n != 4 || parse_word(words[1], side_words, &side) < 0)
        return error_set(e, -EINVAL, "expected: sysctl left|right|both KEY VALUE");
    return add_sysctl(s, side, words[2], words[3], e);
}

/* Shorthands for the stack's knobs. */
static const struct knob {
    const char *name, *key, *on, *off;
} knobs[] = {
    {"sack", "net.ipv4.tcp_sack", "1", "0"},
    {"timestamps", "net.ipv4.tcp_timestamps", "1", "0"},
    {"tail-loss-probe", "net.ipv4.tcp_early_retrans", "3", "0"},
};

static int statement_knob(struct lab_scenario *s, const struct knob *k, const char *word, struct error *e)
{
    bool on;

    if (parse_flag(word, &on) < 0)
        return error_set(e, -EINVAL, "%s is on or off", k->name);
    return add_sysctl(s, LAB_SIDES, k->key, on ? k->on : k->off, e);
}

static int statement_rate(struct lab_scenario *s, char **words, size_t n, struct error *e)
{
    uint64_t rate;
    uint32_t side;

    if (n != 3 || parse_word(words[1], side_words, &side) < 0 || parse_u64(words[2], unit_bits, &rate) < 0)
        return error_set(e, -EINVAL, "expected: rate left|right|both BITS_PER_SECOND");
    for (uint32_t i = 0; i < LAB_SIDES; i++) {
        if (side == i || side == LAB_SIDES)
            s->rate_bits_per_s[i] = rate;
    }
    return 0;
}

static int statement_epoch(struct lab_scenario *s, const char *word, struct error *e)
{
    struct tm tm = {0};
    const char *end = strptime(word, "%Y-%m-%dT%H:%M:%SZ", &tm);

    if (end == NULL || *end != '\0')
        return error_set(e, -EINVAL, "epoch is a UTC time such as 2026-03-03T08:00:00Z");
    s->epoch_ns = (uint64_t)timegm(&tm) * 1000000000u;
    return 0;
}

/* By socket option, for the sysctl of a namespace takes only what the host allows to everybody. */
static int statement_congestion(struct lab_scenario *s, const char *word, struct error *e)
{
    if (strlen(word) >= sizeof(s->congestion))
        return error_set(e, -EINVAL, "'%s' is no congestion control", word);
    strcpy(s->congestion, word);
    return 0;
}

static int statement_nat(struct lab_scenario *s, const char *word, struct error *e)
{
    if (parse_prefix(word, &s->nat) < 0 || s->nat.len < 96 || !lab_addr_is_v4(&s->nat.addr))
        return error_set(e, -EINVAL, "nat needs an IPv4 prefix such as 100.64.0.0/16");
    return 0;
}

static int statement_mirror(struct lab_scenario *s, const char *word, struct error *e)
{
    if (strlen(word) >= sizeof(s->mirror))
        return error_set(e, -EINVAL, "'%s' is no device", word);
    strcpy(s->mirror, word);
    return 0;
}

/* Statements of two words: a scalar, a knob of the stack, or the start time. */
static int statement_scalar(struct lab_scenario *s, char **words, size_t n, struct error *e)
{
    const struct option *o = option_find(scalar_options, words[0]);

    if (n == 2 && o != NULL) {
        if (parse_value(o, words[1], (char *)s + o->offset) < 0)
            return error_set(e, -EINVAL, "bad value '%s' for %s", words[1], words[0]);
        return 0;
    }
    for (size_t i = 0; n == 2 && i < sizeof(knobs) / sizeof(knobs[0]); i++) {
        if (strcmp(knobs[i].name, words[0]) == 0)
            return statement_knob(s, &knobs[i], words[1], e);
    }
    if (n == 2 && strcmp(words[0], "epoch") == 0)
        return statement_epoch(s, words[1], e);
    if (n == 2 && strcmp(words[0], "cc") == 0)
        return statement_congestion(s, words[1], e);
    if (n == 2 && strcmp(words[0], "nat") == 0)
        return statement_nat(s, words[1], e);
    if (n == 2 && strcmp(words[0], "mirror") == 0)
        return statement_mirror(s, words[1], e);
    if (n == 2 && strcmp(words[0], "wrap") == 0) {
        static const char *const kinds[] = {"none", "qinq", "vxlan", NULL};
        return parse_word(words[1], kinds, &s->wrap) == 0 ? 0 : error_set(e, -EINVAL, "wrap is none, qinq or vxlan");
    }
    return error_set(e, -EINVAL, "unknown statement '%s' with %zu words", words[0], n);
}

static size_t split(char *line, char **words)
{
    char *rest = line, *word;
    size_t n = 0;

    while (n < WORDS_MAX && (word = strsep(&rest, " \t\r\n")) != NULL) {
        if (*word != '\0')
            words[n++] = word;
    }
    return n;
}

int lab_scenario_line(struct lab_scenario *s, const char *line, struct error *e)
{
    static const struct {
        const char *word;
        int (*parse)(struct lab_scenario *, char **, size_t, struct error *);
    } statements[] = {
        {"rule", statement_rule},     {"delay", statement_delay}, {"traffic", statement_traffic},
        {"sysctl", statement_sysctl}, {"rate", statement_rate},
    };
    char copy[LINE_BYTES];
    char *words[WORDS_MAX];
    size_t n;

    if (snprintf(copy, sizeof(copy), "%s", line) >= (int)sizeof(copy))
        return error_set(e, -EINVAL, "line longer than %d bytes", LINE_BYTES);
    n = split(copy, words);
    if (n == 0 || words[0][0] == '#')
        return 0;
    if (n == WORDS_MAX)
        return error_set(e, -EINVAL, "more than %d words", WORDS_MAX - 1);
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (strcmp(statements[i].word, words[0]) == 0)
            return statements[i].parse(s, words, n, e);
    }
    return statement_scalar(s, words, n, e);
}

int lab_scenario_file(struct lab_scenario *s, const char *path, struct error *e)
{
    char line[LINE_BYTES + 1];
    unsigned number = 0;
    struct error why;
    FILE *f = fopen(path, "re");
    int rc = 0;

    if (f == NULL)
        return error_set(e, -errno, "%s: %s", path, strerror(errno));
    while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
        number++;
        rc = lab_scenario_line(s, line, &why);
        if (rc < 0)
            error_set(e, rc, "%s:%u: %.200s", path, number, why.text);
    }
    fclose(f);
    return rc;
}

void lab_scenario_init(struct lab_scenario *s)
{
    static const char *const defaults[] = {
        /* Not the host's: results must not depend on it. */
        "cc cubic",
        "sack on",
        "timestamps on",
        /* Connections start without what earlier ones have learned. */
        "sysctl both net.ipv4.tcp_no_metrics_save 1",
        "sysctl both net.ipv6.conf.all.accept_ra 0",
        "sysctl both net.ipv4.icmp_ratelimit 0",
    };
    struct error e;

    memset(s, 0, sizeof(*s));
    s->seed = 1;
    s->time_ns = 120000000000u;
    s->size_bytes = 256u << 20;
    s->snap_bytes = 65535;
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        if (lab_scenario_line(s, defaults[i], &e) < 0)
            abort(); /* the table above is wrong */
    }
}
