/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Redis's error replies begin with a word that says what kind they are; this is the one place that knows the words. An
 * unknown word is a refusal of that command alone: to repeat what is refused for good would stop everything behind it.
 */

#include "store/store.h"

#include <string.h>

/* First words, class, what to do. */
#define REFUSALS(X)                                                                                                    \
    X("LOADING", PASSING, "it is reading its data from disk; wait")                                                    \
    X("OOM", PASSING, "its memory is full; raise maxmemory, or set maxmemory-policy volatile-ttl")                     \
    X("MISCONF", PASSING, "it cannot save to its disk; see its log")                                                   \
    X("BUSY", PASSING, "a script is running in it; SCRIPT KILL ends that")                                             \
    X("NOREPLICAS", PASSING, "it has fewer replicas than its min-replicas-to-write; start them")                       \
    X("CLUSTERDOWN", PASSING, "a part of the Cluster has no master; see CLUSTER INFO")                                 \
    X("TRYAGAIN", PASSING, "a slot is being moved; wait")                                                              \
    X("ERR max number of clients reached", PASSING, "raise its maxclients")                                            \
    X("READONLY", DEMOTED, "it is a replica; name the master, or use redis+sentinel://")                               \
    X("MASTERDOWN", DEMOTED, "it is a replica without its master; name the master, or use redis+sentinel://")          \
    X("NOAUTH", ACCESS, "give store.user and store.password_file, or $SPANWARD_REDIS_PASSWORD")                        \
    X("WRONGPASS", ACCESS, "check store.user and store.password_file, or $SPANWARD_REDIS_PASSWORD")                    \
    X("NOPERM", ACCESS, "the user lacks a right; scripts/redis-acl prints what is needed")                             \
    X("MOVED", TOPOLOGY, "it is a node of a Cluster; use redis+cluster://")                                            \
    X("ASK", TOPOLOGY, "it is a node of a Cluster; use redis+cluster://")                                              \
    X("CROSSSLOT", TOPOLOGY, "the keys of one command are in several slots of a Cluster")

#define X(words, fault, todo) {words, sizeof(words) - 1, STORE_FAULT_##fault, todo},
static const struct refusal {
    const char *words;
    size_t len;
    enum store_fault fault;
    const char *todo;
} refusals[] = {REFUSALS(X)};
#undef X

static const struct refusal *find(const char *text)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *f = &refusals[i];
        if (strncmp(text, f->words, f->len) == 0 && (text[f->len] == ' ' || text[f->len] == '\0'))
            return f;
    }
    return NULL;
}

enum store_fault store_fault_of(const char *text)
{
    const struct refusal *f = find(text);

    return f != NULL ? f->fault : STORE_FAULT_REFUSED;
}

const char *store_fault_todo(const char *text)
{
    const struct refusal *f = find(text);

    return f != NULL ? f->todo : "";
}

int store_fault_length(const char *text)
{
    size_t len = strlen(text);

    while (len > 0 && (text[len - 1] == '.' || text[len - 1] == ' '))
        len--;
    return len > 100 ? 100 : (int)len;
}

int store_refused(struct error *e, int code, const char *what, const char *text)
{
    const char *todo = store_fault_todo(text);

    return error_set(e, code, "Redis refused %.40s: %.*s%s%.90s", what, store_fault_length(text), text,
                     *todo != '\0' ? "; " : "", todo);
}

const char *store_fault_name(enum store_fault f)
{
#define X(symbol, name) name,
    static const char *const names[STORE_FAULT_COUNT] = { STORE_FAULTS(X) };
#undef X
    return names[f];
}
