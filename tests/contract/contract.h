/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONTRACT_H
#define SPANWARD_CONTRACT_H

/*
 * Contract servers: stand-ins for ticketing systems that cannot be installed here, over real HTTP.
 *
 * A file per system holds what its documentation promises and refuses: shapes, limits, authorization, paging and error
 * bodies, each rule with its source. A request that the documentation does not allow is refused as the system would
 * refuse it; one that the system would accept to our loss (text silently cut, a second ticket with one key) is noted as
 * a violation, and tests fail on violations. This file is what the systems share: the HTTP server, routes, faults made
 * to order, and a neutral dump of all tickets.
 *
 * State is JSON (an array of tickets, shapes as the system's own), guarded by one lock; a request is served under it.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct contract;

#define CONTRACT_PARTS   4
#define CONTRACT_HEADERS 8

/* One request and its answer; valid during serve. */
struct contract_call {
    struct contract *server;
    json_t *state; /* the system's, an object made by its fresh() */
    void *connection;
    const char *method, *path;
    char part[CONTRACT_PARTS][160]; /* what the route's wildcards matched */
    const char *body;
    size_t body_len;
    json_t *json; /* the body parsed; NULL when it is not JSON */
    unsigned status;
    json_t *answer; /* NULL: no body */
    char *raw;      /* instead of answer */
    char header[CONTRACT_HEADERS][2][200];
    unsigned n_headers;
};

struct contract_route {
    const char *method;
    const char *pattern; /* path without leading slash; '*' is one segment */
    void (*serve)(struct contract_call *call);
};

/* What control needs to know about a ticket, whatever the system. */
struct contract_system {
    const char *name;
    json_t *(*fresh)(void);
    bool (*authorize)(struct contract_call *call); /* false: answered */
    void (*unknown)(struct contract_call *call);   /* no such route */
    const struct contract_route *routes;           /* ends with method NULL */
    /* {"id","key","title","body","state":"open"|"resolved","owner","comments":[text],"attachments":n} of one ticket */
    json_t *(*describe)(const json_t *ticket);
    /* Somebody works in the system: what is "owner", "state" (its own name), "comment". */
    int (*edit)(json_t *ticket, const char *what, const char *value);
    /* The body of a rate-limit answer; NULL: empty. */
    json_t *(*too_many)(void);
};

extern const struct contract_system contract_jira_cloud, contract_jira_dc, contract_servicenow, contract_zammad,
    contract_glpi, contract_pagerduty;
extern const struct contract_system *const contract_systems[]; /* ends with NULL */

/* --- servers --- */

enum contract_fault_kind {
    MEET_STATUS, /* answers `status` and does nothing */
    MEET_DROP,   /* closes the connection and does nothing */
    MEET_LATE,   /* does it, then closes the connection without an answer */
    MEET_FAILED, /* does it, then answers `status` */
    MEET_STALL,  /* does it, then waits `stall_ms` before it answers */
};
struct contract_fault {
    enum contract_fault_kind kind;
    unsigned status;
    unsigned retry_after_s; /* 0: no such header */
    const char *method;     /* NULL: any */
    const char *path_part;  /* NULL: any; a part of the path */
    unsigned count;         /* how many requests */
    unsigned stall_ms;
};

/* port 0: any. NULL when it cannot listen. */
struct contract *contract_start(const struct contract_system *system, unsigned port);
void contract_stop(struct contract *c);
unsigned contract_port(const struct contract *c);
const char *contract_url(const struct contract *c); /* http://127.0.0.1:PORT */

void contract_fault(struct contract *c, const struct contract_fault *fault);
void contract_clear_faults(struct contract *c);
/* Each request that writes meets one of the faults (status, drop, late, failed, 429) with this chance, seeded. */
void contract_random_faults(struct contract *c, double chance, uint64_t seed);
/* Searches see what was written this long ago. */
void contract_index_delay(struct contract *c, unsigned ms);
/* Pages of searches hold at most this many, whatever was asked for. 0: as asked. */
void contract_page_limit(struct contract *c, unsigned n);
/* Makes every request fail its authorization. */
void contract_revoke(struct contract *c, bool revoked);
/* Ends all sessions, where the system has them. */
void contract_forget_sessions(struct contract *c);

/* A new array of described tickets. */
json_t *contract_dump(struct contract *c);
unsigned contract_count(struct contract *c, const char *method, const char *path_part); /* requests so far */
unsigned contract_violations(struct contract *c, char *ret_first, size_t size);
int contract_edit(struct contract *c, const char *id, const char *what, const char *value);
/* The last request body whose method and path part match, parsed; a new reference or NULL. */
json_t *contract_last(struct contract *c, const char *method, const char *path_part);

/* --- for the systems' files --- */

const char *contract_header(const struct contract_call *call, const char *name); /* NULL when absent */
const char *contract_query(const struct contract_call *call, const char *name);  /* NULL when absent */
/* A whole number from the query; fallback when absent, -1 when it is not one. */
long contract_query_number(const struct contract_call *call, const char *name, long fallback);
void contract_answer(struct contract_call *call, unsigned status, json_t *answer); /* takes the reference */
void contract_add_header(struct contract_call *call, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void contract_violation(struct contract_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
json_t *contract_tickets(const struct contract_call *call); /* state's array, borrowed */
/* Next number of the state's counter `name`, from 1. */
json_int_t contract_next(json_t *state, const char *name);
/* Marks a ticket as written now: for the index delay and for polls. */
void contract_touch(json_t *ticket);
bool contract_visible(const struct contract_call *call, const json_t *ticket);
double contract_written_s(const json_t *ticket); /* wall time, seconds */
unsigned contract_pages(const struct contract_call *call, unsigned wanted);
/* Characters in UTF-8 text; SIZE_MAX when it is not UTF-8 or holds control characters other than \t \n \r. */
size_t contract_characters(const char *text);
const char *contract_text(const json_t *object, const char *key); /* "" when absent or no string */
/* A part of a multipart body by its name. false when there is none. */
bool contract_multipart(const struct contract_call *call, const char *name, char *ret_filename, size_t filename_size,
                        const char **ret_data, size_t *ret_len);
/* An ISO 8601 time of a wall clock in seconds; format is strftime's, in UTC. */
void contract_time(char *ret, size_t size, const char *format, double wall_s);

#endif
