/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See cluster.h and the Redis Cluster specification. The map of slots comes from CLUSTER SLOTS, which every version
 * has; over TLS the nodes tell their TLS ports. Commands are grouped into units: a single command, or all from MULTI to
 * EXEC. A round sends every open unit to its node, all nodes at once, and sorts the answers:
 *
 *   MOVED        the slot has a new owner: the map is read again, the unit goes there in the next round
 *   ASK          the key has moved already, the slot has not: this once to the other node, behind ASKING
 *   TRYAGAIN     keys of one command are on both sides of a migration  } wait a little, with a fresh map, until
 *   CLUSTERDOWN  a slot has no master at the moment                    } the command time-out; then it is the answer
 *   broken       a connection failed: all are given up, the caller repeats what it has no answer for
 *
 * Redis replicates behind its acknowledgement. A master that died or was cut off may have acknowledged what its
 * successor never saw, so whenever a slot is served over another connection than the one that acknowledged a command of
 * the journal, that command is sent again, before anything newer of the slot.
 *
 * A transaction is never carried over to another owner: its writer computed it from state that it read from the old
 * one, and the new one may have lost the last of that state. Such a commit ends with -EIO, so that the writer
 * reconnects and loads first. The owners at the time of the reconnect are kept for that.
 *
 * Limits: writes and reads go to masters only. Commands without a key go to the first master, SCAN to one master after
 * the other, whose place is in the cursor. Within one flush, two stream entries of one key may change places if
 * the cluster goes down and comes back between their replies; the elder is then refused as too old, and its writer has
 * to look whether it is there (analytics/publish_find.c).
 */

#include "store/cluster.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/resp.h"
#include "store/route.h"

#define NODES_MAX      1000
#define NO_NODE        UINT16_MAX
#define LATER_FIRST_MS 10
#define LATER_MAX_MS   250
#define ROUNDS_MAX     1000 /* of redirections that lead nowhere, within the time-out */
#define SCAN_PLACES    1024 /* at least NODES_MAX */
#define SCAN_ARGS_MAX  16
#define ASKING         "*1\r\n$6\r\nASKING\r\n"

struct node {
    struct store_endpoint at;
    struct link *link; /* NULL: not connected */
    uint64_t serial;   /* of the connection; never used twice */
};

/* Owner: one store. Nodes are only added, so that an index stays valid. */
struct cluster {
    const struct link_options *options;
    struct journal *journal;
    struct store_stats *stats;
    struct node *node;
    size_t n_nodes, next_seed;
    uint64_t last_serial;
    bool journal_due;                 /* a slot may be served by another connection than before */
    uint16_t owner[ROUTE_SLOTS];      /* index of the node, or NO_NODE */
    uint16_t owner_read[ROUTE_SLOTS]; /* the owner when the writer last had to load its state */
};

/* Commands [first, end) that go together. */
struct unit {
    size_t first, end;
    int slot;
    uint16_t node;     /* of this round */
    uint16_t ask_node; /* NO_NODE: to the owner */
    bool done, transaction;
};

/* One run of units over the nodes. */
struct run {
    struct cluster *c;
    const char *bytes;
    const size_t *end;
    struct unit *unit;
    size_t n_units;
    redisReply **reply;
    bool keep; /* put what is acknowledged into the journal */
    uint64_t deadline_ms;
    unsigned later_ms;
    unsigned rounds;
};

/* ---- nodes and the map ---- */

static bool same_endpoint(const struct store_endpoint *a, const struct store_endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* The node with this address, known or new; NO_NODE when there is no room. */
static uint16_t find_node(struct cluster *c, const struct store_endpoint *at)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (same_endpoint(&c->node[i].at, at))
            return (uint16_t)i;
    if (c->n_nodes == NODES_MAX)
        return NO_NODE;
    struct node *node = realloc(c->node, (c->n_nodes + 1) * sizeof(*node));
    if (node == NULL)
        return NO_NODE;
    c->node = node;
    node[c->n_nodes] = (struct node){.at = *at};
    return (uint16_t)c->n_nodes++;
}

static void close_node(struct node *n)
{
    link_close(n->link);
    n->link = NULL;
}

static int open_node(struct cluster *c, uint16_t index, struct error *e)
{
    struct node *n = &c->node[index];

    if (n->link != NULL && !link_failed(n->link))
        return 0;
    close_node(n);
    int result = link_open(c->options, &n->at, &n->link, e);
    if (result != 0)
        return result;
    if (link_mode(n->link) == LINK_STANDALONE || link_mode(n->link) == LINK_SENTINEL) {
        error_set(e, -EINVAL, "%s is %s; use %s", link_shown(n->link),
                  link_mode(n->link) == LINK_SENTINEL ? "a Sentinel" : "a single Redis, not a node of a Cluster",
                  link_mode(n->link) == LINK_SENTINEL ? "redis+sentinel://" : "redis://");
        close_node(n);
        return -EINVAL;
    }
    n->serial = ++c->last_serial;
    c->journal_due = true;
    return 0;
}

struct map_reader {
    struct cluster *c;
    const struct store_endpoint *asked;
    uint16_t owner[ROUTE_SLOTS];
};

static void take_range(void *ctx, int first, int last, const struct store_endpoint *master)
{
    struct map_reader *m = ctx;
    struct store_endpoint at = *master;

    if (at.host[0] == '\0')
        strcpy(at.host, m->asked->host);
    uint16_t node = find_node(m->c, &at);
    for (int slot = first; slot <= last; slot++)
        m->owner[slot] = node;
}

/* Reads the map from one node. */
static int read_map(struct cluster *c, uint16_t index, struct error *e)
{
    static const char *const slots[] = {"CLUSTER", "SLOTS"};
    int result = open_node(c, index, e);

    if (result != 0)
        return result;
    struct link *l = c->node[index].link;
    redisReply *r = link_call(l, 2, slots, c->options->command_timeout_ms);
    if (r == NULL)
        return error_set(e, -EIO, "Redis at %.100s: CLUSTER SLOTS: %.100s", link_shown(l), link_why(l));
    struct store_endpoint asked = c->node[index].at; /* the table of nodes may move */
    struct map_reader *m = malloc(sizeof(*m));
    if (m != NULL) {
        m->c = c;
        m->asked = &asked;
        memset(m->owner, 0xff, sizeof(m->owner));
        int covered = route_read_map(r, take_range, m);
        if (r->type == REDIS_REPLY_ERROR)
            result = error_set(e, -EACCES, "Redis at %.90s: CLUSTER SLOTS refused: %.100s", link_shown(l), r->str);
        else if (covered < 0)
            result = error_set(e, -EPROTO, "Redis at %.100s: CLUSTER SLOTS gave no map", link_shown(l));
        else if (covered == 0)
            result = error_set(e, -EAGAIN, "Redis at %.100s: the Cluster has no slots yet", link_shown(l));
    } else {
        result = error_set(e, -ENOMEM, "no memory for the map of the Cluster");
    }
    if (result == 0 && memcmp(c->owner, m->owner, sizeof(c->owner)) != 0) {
        memcpy(c->owner, m->owner, sizeof(c->owner));
        c->journal_due = true;
        c->stats->map_changes++;
    }
    free(m);
    free(r);
    return result;
}

/* Any node that answers will do; each is tried once, beginning behind the one that was tried last. */
static int read_any_map(struct cluster *c, struct error *e)
{
    struct error first = {""}, other;
    size_t n = c->n_nodes;
    int result = -EIO;

    for (size_t i = 0; i < n && result != 0; i++) {
        size_t at = c->next_seed++ % n;
        int code = read_map(c, (uint16_t)at, i == 0 ? &first : &other);
        if (i == 0 || code == 0)
            result = code;
        if (code != 0)
            close_node(&c->node[at]);
    }
    if (result == 0)
        c->next_seed--; /* who answered is asked first next time */
    else if (e != NULL)
        *e = first;
    return result;
}

int cluster_reconnect(struct cluster *c, struct error *e)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        close_node(&c->node[i]);
    c->next_seed++; /* the one that was asked last may be cut off from the others */
    int result = read_any_map(c, e);
    memcpy(c->owner_read, c->owner, sizeof(c->owner));
    return result;
}

int cluster_new(const struct link_options *options, const struct store_endpoint *seeds, unsigned n_seeds,
                struct journal *journal, struct store_stats *stats, struct cluster **ret_cluster, struct error *e)
{
    struct cluster *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return error_set(e, -ENOMEM, "no memory for a connection to a Cluster");
    c->options = options;
    c->journal = journal;
    c->stats = stats;
    memset(c->owner, 0xff, sizeof(c->owner));
    for (unsigned i = 0; i < n_seeds; i++) {
        if (find_node(c, &seeds[i]) == NO_NODE) {
            cluster_free(c);
            return error_set(e, -ENOMEM, "no memory for a connection to a Cluster");
        }
    }
    *ret_cluster = c;
    return 0;
}

void cluster_free(struct cluster *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_nodes; i++)
        close_node(&c->node[i]);
    free(c->node);
    free(c);
}

/* ---- units ---- */

static size_t start_of(const struct run *x, size_t i)
{
    return i > 0 ? x->end[i - 1] : 0;
}

/* Groups the commands. -EXDEV: a transaction with keys in several slots; -EINVAL: one without an end. */
static int group(struct run *x, size_t n, struct error *e)
{
    struct store_arg args[16];
    struct unit *open = NULL;
    size_t n_args;

    for (size_t i = 0; i < n; i++) {
        size_t from = start_of(x, i);
        if (route_split(x->bytes + from, x->end[i] - from, args, 16, &n_args) == 0)
            return error_set(e, -EINVAL, "not a command");
        int slot = route_command_slot(args, n_args);
        if (open == NULL) {
            open = &x->unit[x->n_units++];
            *open = (struct unit){.first = i, .slot = slot, .ask_node = NO_NODE};
            open->transaction = route_is(&args[0], "MULTI");
        } else if (slot != ROUTE_NO_SLOT) {
            if (open->slot != ROUTE_NO_SLOT && open->slot != slot)
                return error_set(e, -EXDEV, "a transaction with keys in several slots of a Cluster");
            open->slot = slot;
        }
        open->end = i + 1;
        if (!open->transaction || route_is(&args[0], "EXEC") || route_is(&args[0], "DISCARD"))
            open = NULL;
    }
    return open == NULL ? 0 : error_set(e, -EINVAL, "a transaction without EXEC");
}

/* The first master that the map names. */
static uint16_t any_master(const struct cluster *c)
{
    for (int slot = 0; slot < ROUTE_SLOTS; slot++)
        if (c->owner[slot] != NO_NODE)
            return c->owner[slot];
    return NO_NODE;
}

/* Where the unit goes now; NO_NODE: nobody serves its slot. */
static uint16_t place(const struct cluster *c, const struct unit *u)
{
    if (u->ask_node != NO_NODE)
        return u->ask_node;
    return u->slot == ROUTE_NO_SLOT ? any_master(c) : c->owner[u->slot];
}

static int queue_unit(struct run *x, const struct unit *u)
{
    struct link *l = x->c->node[u->node].link;
    size_t from = start_of(x, u->first);

    if (u->ask_node != NO_NODE && link_queue(l, ASKING, sizeof(ASKING) - 1, 1) != 0)
        return -EIO;
    return link_queue(l, x->bytes + from, x->end[u->end - 1] - from, u->end - u->first);
}

/* Opens what is needed and queues every open unit. -EAGAIN: some have nobody to go to. */
static int send_round(struct run *x, struct error *e)
{
    bool orphans = false;

    for (size_t i = 0; i < x->n_units; i++) {
        struct unit *u = &x->unit[i];
        if (u->done)
            continue;
        u->node = place(x->c, u);
        if (u->node == NO_NODE) {
            orphans = true;
            continue;
        }
        if (u->transaction && u->slot != ROUTE_NO_SLOT && x->c->owner[u->slot] != x->c->owner_read[u->slot])
            return error_set(e, -EIO, "the slot of a transaction has a new owner");
        int result = open_node(x->c, u->node, e);
        if (result != 0)
            return -EIO;
    }
    return orphans ? -EAGAIN : 0;
}

/* Where the replies of one link go: the next unit of that node in order, and the place in it. */
struct catcher {
    struct run *x;
    struct link **link;
    uint16_t *node;
    size_t *unit, *offset; /* of each link; offset counts ASKING, too */
};

static void catch_reply(void *ctx, size_t index, redisReply *r)
{
    struct catcher *k = ctx;
    struct run *x = k->x;
    size_t i = k->unit[index];

    while (x->unit[i].done || x->unit[i].node != k->node[index])
        i++;
    const struct unit *u = &x->unit[i];
    size_t asking = u->ask_node != NO_NODE ? 1 : 0, at = k->offset[index]++;
    if (at < asking) {
        free(r);
    } else {
        redisReply **to = &x->reply[u->first + at - asking];
        free(*to);
        *to = r;
    }
    k->unit[index] = i;
    if (k->offset[index] == asking + u->end - u->first) {
        k->unit[index] = i + 1;
        k->offset[index] = 0;
    }
}

/* The links of this round, each once; the arrays have room for all nodes. */
static size_t links_of_round(const struct run *x, struct catcher *k)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n_units; i++) {
        const struct unit *u = &x->unit[i];
        size_t j = 0;
        if (u->done || u->node == NO_NODE)
            continue;
        while (j < n && k->node[j] != u->node)
            j++;
        if (j < n)
            continue;
        k->node[n] = u->node;
        k->link[n] = x->c->node[u->node].link;
        k->unit[n] = k->offset[n] = 0;
        n++;
    }
    return n;
}

static int exchange(struct run *x, struct error *e)
{
    size_t max = x->c->n_nodes;
    struct catcher k = {.x = x,
                        .link = calloc(max, sizeof(*k.link)),
                        .node = calloc(max, sizeof(*k.node)),
                        .unit = calloc(max, sizeof(*k.unit)),
                        .offset = calloc(max, sizeof(*k.offset))};
    int result = -ENOMEM;

    if (k.link != NULL && k.node != NULL && k.unit != NULL && k.offset != NULL) {
        result = 0;
        for (size_t i = 0; i < x->n_units && result == 0; i++)
            if (!x->unit[i].done && x->unit[i].node != NO_NODE)
                result = queue_unit(x, &x->unit[i]);
        size_t n = links_of_round(x, &k);
        if (links_exchange(k.link, n, x->c->options->command_timeout_ms, catch_reply, &k) != 0)
            result = -EIO;
        for (size_t i = 0; i < n; i++)
            if (link_failed(k.link[i]))
                error_set(e, -EIO, "Redis at %.100s: %.100s", link_shown(k.link[i]), link_why(k.link[i]));
    }
    free(k.link);
    free(k.node);
    free(k.unit);
    free(k.offset);
    return result;
}

/* ---- answers ---- */

/* What the first redirection among a unit's replies says. */
static enum route_answer answer_of(const struct run *x, const struct unit *u, int *ret_slot,
                                   struct store_endpoint *ret_to)
{
    for (size_t i = u->first; i < u->end; i++) {
        enum route_answer a = route_answer_of(x->reply[i], ret_slot, ret_to);
        if (a != ROUTE_DONE)
            return a;
        if (x->reply[i]->type == REDIS_REPLY_ARRAY && u->transaction && x->reply[i]->elements > 0 &&
            (a = route_answer_of(x->reply[i]->element[0], ret_slot, ret_to)) != ROUTE_DONE)
            return a;
    }
    return ROUTE_DONE;
}

static void keep_unit(const struct run *x, const struct unit *u)
{
    struct store_arg args[16];
    uint64_t now_ms = link_clock_ms();
    size_t n_args;

    if (!x->keep || u->transaction || u->slot == ROUTE_NO_SLOT)
        return;
    for (size_t i = u->first; i < u->end; i++) {
        size_t from = start_of(x, i);
        if (x->reply[i]->type != REDIS_REPLY_ERROR &&
            route_split(x->bytes + from, x->end[i] - from, args, 16, &n_args) != 0 && route_is_repeatable(args, n_args))
            journal_add(x->c->journal, u->slot, x->c->node[u->node].serial, now_ms, x->bytes + from, x->end[i] - from);
    }
}

/* Sorts the answers of a round. Sets *ret_wait when a unit has to wait, *ret_stale when the map is old. */
static void sort_answers(struct run *x, bool *ret_wait, bool *ret_stale)
{
    struct store_endpoint to;
    int slot = 0;

    for (size_t i = 0; i < x->n_units; i++) {
        struct unit *u = &x->unit[i];
        if (u->done || u->node == NO_NODE)
            continue;
        uint16_t asked = u->node;
        enum route_answer a = answer_of(x, u, &slot, &to);
        if (a == ROUTE_MOVED || a == ROUTE_ASK) {
            if (to.host[0] == '\0')
                strcpy(to.host, x->c->node[asked].at.host);
            uint16_t target = find_node(x->c, &to);
            x->c->stats->redirects++;
            u->ask_node = a == ROUTE_ASK ? target : NO_NODE;
            if (a == ROUTE_MOVED && target != NO_NODE && x->c->owner[slot] != target) {
                x->c->owner[slot] = target;
                x->c->journal_due = true;
            }
            if (a == ROUTE_MOVED && target != NO_NODE)
                x->c->next_seed = target; /* it knows about itself what the others may not have heard */
            *ret_stale |= a == ROUTE_MOVED;
        } else if (a == ROUTE_LATER) {
            u->ask_node = NO_NODE;
            *ret_wait = *ret_stale = true;
        } else {
            u->done = true;
            keep_unit(x, u);
        }
    }
}

static bool all_done(const struct run *x)
{
    for (size_t i = 0; i < x->n_units; i++)
        if (!x->unit[i].done)
            return false;
    return true;
}

/* False when the time is over. */
static bool wait_a_little(struct run *x)
{
    if (link_clock_ms() >= x->deadline_ms)
        return false;
    x->c->stats->waits++;
    link_sleep_ms(x->later_ms);
    x->later_ms = x->later_ms * 2 < LATER_MAX_MS ? x->later_ms * 2 : LATER_MAX_MS;
    return true;
}

static int replay_journal(struct cluster *c, struct error *e);

/* Rounds until every unit has its answer, or the time is over and "later" is the answer. */
static int run_units(struct run *x, struct error *e)
{
    for (;;) {
        bool wait = false, stale = false;
        int result = send_round(x, e);
        if (result == -EAGAIN) /* a slot without an owner: as CLUSTERDOWN, but nobody was asked */
            wait = stale = true;
        else if (result != 0)
            return result;
        if (x->keep && x->c->journal_due) {
            result = replay_journal(x->c, e);
            if (result != 0)
                return result;
            if (x->rounds++ < ROUNDS_MAX) /* the map may have changed on the way */
                continue;
        }
        result = exchange(x, e);
        if (result != 0)
            return result;
        sort_answers(x, &wait, &stale);
        if (all_done(x))
            return 0;
        if ((wait || ++x->rounds > 8) && !wait_a_little(x))
            return 0;
        if (x->rounds > ROUNDS_MAX)
            return error_set(e, -EIO, "the nodes of the Cluster send us in circles");
        if (stale)
            read_any_map(x->c, NULL);
    }
}

static int start_run(struct run *x, size_t n, struct error *e)
{
    x->deadline_ms = link_clock_ms() + x->c->options->command_timeout_ms;
    x->later_ms = LATER_FIRST_MS;
    x->unit = calloc(n, sizeof(*x->unit));
    if (x->unit == NULL)
        return error_set(e, -ENOMEM, "no memory for a pipeline to the Cluster");
    int result = group(x, n, e);
    if (result == 0)
        result = run_units(x, e);
    free(x->unit);
    return result;
}

/* Sends a piece of a blob again over the connection that its slot has now. */
static int replay_piece(struct cluster *c, const char *bytes, size_t len, size_t n, struct error *e)
{
    size_t *end = calloc(n, sizeof(*end));
    redisReply **reply = calloc(n, sizeof(redisReply *));
    struct run x = {.c = c, .bytes = bytes, .end = end, .reply = reply};
    struct store_arg args[1];
    size_t at = 0, n_args;
    int result = -ENOMEM;

    if (end != NULL && reply != NULL) {
        for (size_t i = 0; i < n; i++)
            end[i] = at += route_split(bytes + at, len - at, args, 1, &n_args);
        result = start_run(&x, n, e);
        for (size_t i = 0; i < n && result == 0; i++) {
            enum store_fault f = reply[i] == NULL                      ? STORE_FAULT_PASSING
                                 : reply[i]->type == REDIS_REPLY_ERROR ? store_fault_of(reply[i]->str)
                                                                       : STORE_FAULT_NONE;
            if (f != STORE_FAULT_NONE && f != STORE_FAULT_REFUSED)
                result = error_set(e, -EIO, "cannot repeat the last writes: %.150s",
                                   reply[i] != NULL ? reply[i]->str : "no owner of the slot");
        }
        c->stats->repeated += n;
    }
    for (size_t i = 0; reply != NULL && i < n; i++)
        free(reply[i]);
    free(end);
    free(reply);
    return result;
}

static int replay_blob(struct cluster *c, const struct journal_blob *b, struct error *e)
{
    int result = 0;

    for (size_t at = 0, len, n; at < b->len && result == 0; at += len) {
        len = journal_piece(b->bytes + at, b->len - at, &n);
        result = replay_piece(c, b->bytes + at, len, n, e);
    }
    return result;
}

/* Everything whose slot has another connection than the one that acknowledged it, in the old order. */
static int replay_journal(struct cluster *c, struct error *e)
{
    c->journal_due = false;
    for (struct journal_blob *b = c->journal->first; b != NULL; b = b->next) {
        uint16_t owner = c->owner[b->slot];
        if (owner != NO_NODE && c->node[owner].link != NULL && c->node[owner].serial == b->serial)
            continue;
        int result = replay_blob(c, b, e);
        if (result != 0) {
            c->journal_due = true;
            return result;
        }
        owner = c->owner[b->slot];
        if (owner != NO_NODE)
            b->serial = c->node[owner].serial;
    }
    return 0;
}

/* The answer to a command whose slot nobody serves. */
static redisReply *no_owner_reply(void)
{
    static const char text[] = "CLUSTERDOWN no node serves the slot";
    redisReply *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->type = REDIS_REPLY_ERROR;
    r->str = strdup(text);
    r->len = (int)sizeof(text) - 1;
    if (r->str == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

int cluster_run(struct cluster *c, const char *bytes, const size_t *end, size_t n, bool keep, redisReply **reply,
                struct error *e)
{
    struct run x = {.c = c, .bytes = bytes, .end = end, .reply = reply, .keep = keep};
    int result = n == 0 ? 0 : start_run(&x, n, e);

    for (size_t i = 0; i < n && result == 0; i++)
        if (reply[i] == NULL && (reply[i] = no_owner_reply()) == NULL)
            result = error_set(e, -EIO, "no memory for a reply");
    return result;
}

/* ---- SCAN ---- */

/* The masters in the order of their first slots; returns how many. */
static size_t masters(const struct cluster *c, uint16_t *ret_master)
{
    size_t n = 0;

    for (int slot = 0; slot < ROUTE_SLOTS; slot++) {
        size_t i = 0;
        if (c->owner[slot] == NO_NODE || (slot > 0 && c->owner[slot] == c->owner[slot - 1]))
            continue;
        while (i < n && ret_master[i] != c->owner[slot])
            i++;
        if (i == n)
            ret_master[n++] = c->owner[slot];
    }
    return n;
}

/* The reply of a SCAN once more, with a node's cursor and the node's place in one number; NULL: it does not fit. */
static redisReply *with_cursor(const redisReply *r, unsigned long long cursor, size_t place)
{
    const redisReply *keys = r->element[1];
    struct resp in;
    char text[64];
    redisReply *copy = NULL;

    if (cursor > ULLONG_MAX / SCAN_PLACES - 1 || keys->type != REDIS_REPLY_ARRAY)
        return NULL;
    resp_init(&in);
    int digits = snprintf(text, sizeof(text), "%llu", cursor * SCAN_PLACES + place);
    int len = snprintf(text, sizeof(text), "*2\r\n$%d\r\n%llu\r\n*%zu\r\n", digits, cursor * SCAN_PLACES + place,
                       keys->elements);
    int result = resp_feed(&in, text, (size_t)len);
    for (size_t i = 0; i < keys->elements && result == 0; i++) {
        const redisReply *key = keys->element[i];
        len = snprintf(text, sizeof(text), "$%zu\r\n", key->type == REDIS_REPLY_STRING ? key->len : 0);
        result = resp_feed(&in, text, (size_t)len);
        if (result == 0 && key->type == REDIS_REPLY_STRING)
            result = resp_feed(&in, key->str, key->len);
        if (result == 0)
            result = resp_feed(&in, "\r\n", 2);
    }
    if (result == 0)
        resp_next(&in, &copy);
    resp_fini(&in);
    return copy;
}

static void keep_one(void *ctx, size_t index, redisReply *r)
{
    redisReply **keep = ctx;

    (void)index;
    *keep = r;
}

/* SCAN of one node with its own cursor. */
static redisReply *scan_node(struct cluster *c, uint16_t node, const char *cursor, const struct store_arg *args,
                             size_t n, struct error *e)
{
    const char *word[SCAN_ARGS_MAX] = {"SCAN", cursor};
    size_t len[SCAN_ARGS_MAX] = {4, strlen(cursor)};
    redisReply *r = NULL;
    char *text = NULL;

    if (open_node(c, node, e) != 0)
        return NULL;
    for (size_t i = 2; i < n; i++) {
        word[i] = args[i].data;
        len[i] = args[i].len;
    }
    int size = redisFormatCommandArgv(&text, (int)n, word, len);
    if (size < 0) {
        error_set(e, -ENOMEM, "no memory for a command");
        return NULL;
    }
    struct link *l = c->node[node].link;
    if (link_queue(l, text, (size_t)size, 1) == 0)
        links_exchange(&l, 1, c->options->command_timeout_ms, keep_one, &r);
    redisFreeCommand(text);
    if (r == NULL)
        error_set(e, -EIO, "Redis at %.100s: %.100s", link_shown(l), link_why(l));
    return r;
}

redisReply *cluster_scan(struct cluster *c, const struct store_arg *args, size_t n, struct error *e)
{
    uint16_t master[NODES_MAX];
    char cursor[24];
    size_t n_masters = masters(c, master);

    if (n > SCAN_ARGS_MAX || args[1].len >= sizeof(cursor)) {
        error_set(e, -EINVAL, "SCAN with too many or too long arguments");
        return NULL;
    }
    memcpy(cursor, args[1].data, args[1].len);
    cursor[args[1].len] = '\0';
    unsigned long long value = strtoull(cursor, NULL, 10);
    size_t at = value % SCAN_PLACES;
    if (at >= n_masters) {
        error_set(e, -EIO, "the Cluster changed during a SCAN");
        return NULL;
    }
    snprintf(cursor, sizeof(cursor), "%llu", value / SCAN_PLACES);
    redisReply *r = scan_node(c, master[at], cursor, args, n, e);
    if (r == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING)
        return r;
    unsigned long long next = strtoull(r->element[0]->str, NULL, 10);
    if (next == 0)
        at = at + 1 < n_masters ? at + 1 : 0; /* 0 and 0: the end */
    redisReply *merged = with_cursor(r, next, at);
    free(r);
    if (merged == NULL)
        error_set(e, -EOVERFLOW, "a cursor of SCAN that is too large");
    return merged;
}
