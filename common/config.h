/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_CONFIG_H
#define SPANWARD_CONFIG_H

/*
 * The configuration file: one YAML document, checked against one table (common/params.def). From that table come
 * defaults, range checks, --help and docs/CONFIG.md. Unknown keys are errors with a suggestion; every error names
 * file, line and what to do. Nothing is half-applied: on error the caller keeps its old configuration.
 *
 * Scalars are reached by their dotted name ("capture.flows"); lists of objects (sites, services, mirrors, circuits,
 * owners) have structs of their own below. A config is immutable after loading.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "common/log.h"

struct config_site {
    char *name;
    char *owner; /* may be NULL */
    char **prefixes;
    size_t n_prefixes;
};
struct config_service {
    char *name;
    char **endpoints; /* see service_table_add */
    size_t n_endpoints;
};
struct config_mirror {
    char *name;
    char *device;                 /* EAL device string, PCI address or port name */
    uint64_t capacity_bits_per_s; /* 0 = unknown */
};
struct config_circuit {
    char *id, *carrier, *site, *contact, *owner;
    char *peer, *mirror; /* only traffic with such sites (glob), seen at this mirror; NULL: any */
    uint64_t capacity_bits_per_s;
};
struct config_owner {
    char *match_kind; /* "site", "circuit", "service", "default" */
    char *match;      /* glob */
    char *owner;
};

struct config {
    struct config_site *sites;
    size_t n_sites;
    struct config_service *services;
    size_t n_services;
    struct config_mirror *mirrors;
    size_t n_mirrors;
    struct config_circuit *circuits;
    size_t n_circuits;
    struct config_owner *owners;
    size_t n_owners;
    struct config_values *values; /* scalars, opaque */
};

/* path NULL: defaults only. 0, or -errno with one line in e: "spanward.yaml:12: unknown key 'captur' (did you mean
 * 'capture'?)". */
int config_load(const char *path, struct config **ret_config, struct error *e);
/* The same from memory; `name` is used in messages. */
int config_parse(const char *text, size_t len, const char *name, struct config **ret_config, struct error *e);
void config_free(struct config *c);

/* Dotted names must exist in the table with that type: asserted. Durations are in ns, sizes in bytes. */
uint64_t config_u64(const struct config *c, const char *name);
double config_double(const struct config *c, const char *name);
bool config_bool(const struct config *c, const char *name);
const char *config_string(const struct config *c, const char *name); /* STRING and CHOICE; never NULL, may be "" */

/* True when the file gives the parameter, false when it is at its default. */
bool config_is_set(const struct config *c, const char *name);

/* For SIGHUP: calls `changed` with the name of each parameter that differs and is not taken over by a reload; with
 * lists, also with the names of lists that differ. */
void config_changes(const struct config *running, const struct config *fresh, bool lists,
                    void (*changed)(void *ctx, const char *name), void *ctx);
/* Gives fresh the values that running has for all parameters that a reload does not take over. 0 or -ENOMEM. */
int config_keep(struct config *fresh, const struct config *running, struct error *e);

/* Look-up tables made from the lists; the caller frees them. NULL with the reason in e. The site table is finished. */
struct site_table *config_site_table(const struct config *c, struct error *e);
struct service_table *config_service_table(const struct config *c, struct error *e);

/* Prints the reference as Markdown (docs/CONFIG.md). */
void config_print_reference(FILE *out);

#endif
