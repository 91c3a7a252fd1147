/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The lease of a sensor's name, without scripts: SET NX takes it, and who finds its own name there renews it. Between
 * the look and the renewal it may expire and be taken by another; then both believe to hold it until the next renewal,
 * when the one whose name is gone learns it. What both wrote meanwhile is absolute values of their windows.
 */

#include "store/schema.h"

#include "store/schema_read.h"

static int ask_for(struct store *s, const struct command *c, struct store_reply **ret, struct error *e)
{
    if (c->bad)
        return error_set(e, -EINVAL, "empty or oversized name of a sensor");
    *ret = store_command_argv(s, c->arg, c->n);
    if (*ret == NULL)
        return read_connection_lost(e);
    if (store_reply_type(*ret) != STORE_ERROR)
        return 0;
    int result = store_refused(e, -EPROTO, "a lease", store_reply_string(*ret, NULL));
    store_reply_free(*ret);
    return result;
}

/* One command whose reply does not matter unless it is an error. */
static int tell(struct store *s, const struct command *c, struct error *e)
{
    struct store_reply *r = NULL;
    int result = ask_for(s, c, &r, e);

    if (result == 0)
        store_reply_free(r);
    return result;
}

static int set(struct store *s, const char *key, size_t len, const char *holder, bool only_if_free, bool *ret_done,
               struct error *e)
{
    struct store_reply *r = NULL;
    struct command c;

    command_start(&c, "SET", key, len);
    command_text(&c, holder);
    command_text(&c, "PX");
    command_u64(&c, SCHEMA_LEASE_MS);
    if (only_if_free)
        command_text(&c, "NX");
    int result = ask_for(s, &c, &r, e);
    if (result != 0)
        return result;
    *ret_done = store_reply_type(r) == STORE_STATUS;
    store_reply_free(r);
    return 0;
}

/* The holder as it stands; an empty name when there is none. */
static int look(struct store *s, const char *key, size_t len, struct schema_holder *ret, struct error *e)
{
    struct schema_holder h = {.left_ms = 0};
    struct store_reply *r = NULL;
    struct command c;

    command_start(&c, "GET", key, len);
    int result = ask_for(s, &c, &r, e);
    if (result != 0)
        return result;
    if (store_reply_type(r) == STORE_STRING)
        read_text(r, h.name, sizeof(h.name));
    store_reply_free(r);
    command_start(&c, "PTTL", key, len);
    result = ask_for(s, &c, &r, e);
    if (result != 0)
        return result;
    if (store_reply_type(r) == STORE_INTEGER && store_reply_integer(r) > 0)
        h.left_ms = (uint64_t)store_reply_integer(r);
    store_reply_free(r);
    *ret = h;
    return 0;
}

int schema_lease_take(struct store *s, const char *sensor, const char *holder, struct schema_holder *ret_other,
                      struct error *e)
{
    char key[KEY_BYTES];
    size_t len = key_sensor(key, sensor, "lease");
    struct schema_holder h;
    struct command c;
    bool done = false;
    int result = set(s, key, len, holder, true, &done, e);

    if (result != 0 || done)
        return result;
    result = look(s, key, len, &h, e);
    if (result != 0)
        return result;
    if (strcmp(h.name, holder) != 0) {
        *ret_other = h;
        return error_set(e, -EBUSY, "the sensor name \"%.64s\" is taken by %.100s", sensor,
                         h.name[0] != '\0' ? h.name : "another sensor");
    }
    command_start(&c, "PEXPIRE", key, len);
    command_u64(&c, SCHEMA_LEASE_MS);
    return tell(s, &c, e);
}

int schema_lease_seize(struct store *s, const char *sensor, const char *holder, struct error *e)
{
    char key[KEY_BYTES];
    size_t len = key_sensor(key, sensor, "lease");
    bool done;

    return set(s, key, len, holder, false, &done, e);
}

int schema_lease_release(struct store *s, const char *sensor, const char *holder, struct error *e)
{
    char key[KEY_BYTES];
    size_t len = key_sensor(key, sensor, "lease");
    struct schema_holder h;
    struct command c;
    int result = look(s, key, len, &h, e);

    if (result != 0 || strcmp(h.name, holder) != 0)
        return result;
    command_start(&c, "DEL", key, len);
    return tell(s, &c, e);
}

int schema_lease_look(struct store *s, const char *sensor, struct schema_holder *ret, struct error *e)
{
    char key[KEY_BYTES];

    return look(s, key, key_sensor(key, sensor, "lease"), ret, e);
}
