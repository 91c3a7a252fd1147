/* SPDX-License-Identifier: BSD-3-Clause */

/* After which events creates are held back: what Redis may have forgotten decides, not how long it runs. */

#include <time.h>
#include "control/internal.h"
#include "tests/unit/control_fixture.h"

#define NOW_NS (5 * WEEK_NS)

static void ask(struct store *s, const char *command)
{
    struct store_reply *r = store_command(s, command);

    ck_assert_ptr_nonnull(r);
    ck_assert_msg(store_reply_type(r) != STORE_ERROR, "%s", store_reply_string(r, NULL));
    store_reply_free(r);
}

START_TEST(a_young_or_promoted_server_holds_creates_back)
{
    struct outbox_rules rules = outbox_default_rules;
    struct fixture f;

    fixture_start(&f);
    f.options.rules = &rules;
    fixture_reopen(&f);
    rules.settle_ns = 3600 * NS_PER_S;
    outbox_guard_restart(f.c, NOW_NS); /* just started */
    ck_assert_uint_gt(f.c->creates_from_wall_ns, NOW_NS + 3500 * NS_PER_S);
    ck_assert_uint_le(f.c->creates_from_wall_ns, NOW_NS + 3600 * NS_PER_S);

    rules.settle_ns = NS_PER_S;
    nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 100000000}, NULL);
    outbox_guard_restart(f.c, NOW_NS); /* up for longer than that, and nobody else's successor */
    ck_assert_uint_eq(f.c->creates_from_wall_ns, 0);

    ask(f.store, "REPLICAOF 127.0.0.1 1"); /* a replica that is promoted: it is up for as long as before */
    ask(f.store, "REPLICAOF NO ONE");
    outbox_guard_restart(f.c, NOW_NS);
    ck_assert_uint_eq(f.c->creates_from_wall_ns, NOW_NS + NS_PER_S);

    ask(f.store, "ACL SETUSER default -info"); /* one that does not say */
    outbox_guard_restart(f.c, NOW_NS + 1);
    ck_assert_uint_eq(f.c->creates_from_wall_ns, NOW_NS + 1 + NS_PER_S);
    fixture_stop(&f);
}
END_TEST

UNIT_MAIN("guard", a_young_or_promoted_server_holds_creates_back)
