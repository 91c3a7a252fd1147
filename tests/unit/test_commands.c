/* SPDX-License-Identifier: BSD-3-Clause */

/* Commands of people: through the inbox once whatever is killed, refused with a reason, kept in the audit; the
 * registers and what they name; and the same verbs as records of a window stream. */

#include "control/internal.h"
#include "control/replay.h"
#include "store/inbox.h"
#include "tests/unit/control_fixture.h"

static struct entity_audit say(struct fixture *f, const char *verb, const char *object, const char *arguments)
{
    struct entity_audit *a = calloc(1, sizeof(*a)), copy;
    const struct control_command x = {.actor = "ann", .verb = verb, .object = object, .arguments = arguments};

    ck_assert_int_eq(control_command(f->c, &x, f->now_ns, a), 0);
    copy = *a;
    free(a);
    return copy;
}

/* A control that is killed after it has read and before it commits leaves the command in the inbox. */
START_TEST(once_through_the_inbox)
{
    struct fixture f;
    struct error e = {""};
    struct inbox_command command = {.actor = "ann", .verb = "change.add", .given_wall_ns = 42};
    struct entity_audit *a = calloc(1, sizeof(*a));

    fixture_start(&f);
    snprintf(command.arguments, sizeof(command.arguments), "{\"title\":\"firmware\",\"objects\":\"A~B\"}");
    ck_assert_int_eq(inbox_put(f.store, &command, &e), 0);
    ck_assert_str_ne(command.id, "");
    ck_assert_int_eq(inbox_wait(f.store, command.id, 0, a, &e), 0); /* nobody has answered */
    struct inbox_command *list;
    size_t n;
    ck_assert_int_eq(inbox_read(f.store, "", 10, 0, &list, &n, &e), 0); /* as a control that died would have */
    ck_assert_uint_eq(n, 1);
    ck_assert_str_eq(list[0].arguments, command.arguments);
    free(list);
    ck_assert_int_eq(control_take_commands(f.c, 0, &e), 1);
    ck_assert_int_eq(control_take_commands(f.c, 0, &e), 0);
    fixture_reopen(&f);
    ck_assert_int_eq(control_take_commands(f.c, 0, &e), 0);
    ck_assert_int_eq(inbox_wait(f.store, command.id, 0, a, &e), 1);
    ck_assert_uint_eq(a->done, 1);
    ck_assert_str_eq(a->entity, "CHG-1");
    ck_assert_str_eq(a->actor, "ann");
    ck_assert_uint_eq(a->given_wall_ns, 42);
    ck_assert_uint_eq(f.c->registers[REGISTER_CHANGE].n, 1);
    ck_assert_str_eq(f.c->registers[REGISTER_CHANGE].item[0]->e.title, "firmware");
    free(a);
    fixture_stop(&f);
}
END_TEST

START_TEST(what_does_not_decode_is_passed)
{
    struct fixture f;
    struct error e = {""};
    struct inbox_command good = {.actor = "ann", .verb = "change.add"};

    fixture_start(&f);
    store_reply_free(
        store_command(f.store, "XADD sw1:{ctl}:inbox * verb %s", "a-verb-that-is-longer-than-it-may-be-at-all"));
    store_reply_free(store_command(f.store, "XADD sw1:{ctl}:inbox * nonsense 1"));
    snprintf(good.arguments, sizeof(good.arguments), "{\"title\":\"t\",\"objects\":\"A~B\"}");
    ck_assert_int_eq(inbox_put(f.store, &good, &e), 0);
    ck_assert_int_eq(control_take_commands(f.c, 0, &e), 3);
    ck_assert_uint_eq(f.c->registers[REGISTER_CHANGE].n, 1);
    fixture_stop(&f);
}
END_TEST

START_TEST(refused_with_a_reason)
{
    struct fixture f;
    struct entity_audit a;

    fixture_start(&f);
    a = say(&f, "dance", "", "");
    ck_assert_uint_eq(a.done, 0);
    ck_assert_ptr_nonnull(strstr(a.result, "no such verb"));
    a = say(&f, "change.add", "", "[1]");
    ck_assert_ptr_nonnull(strstr(a.result, "not a JSON object"));
    a = say(&f, "change.add", "", "{\"title\":\"x\"}");
    ck_assert_ptr_nonnull(strstr(a.result, "objects"));
    a = say(&f, "maintenance.add", "", "{\"objects\":\"*\"}");
    ck_assert_ptr_nonnull(strstr(a.result, "no end"));
    a = say(&f, "maintenance.add", "", "{\"objects\":\"*\",\"start_s\":20,\"end_s\":10}");
    ck_assert_ptr_nonnull(strstr(a.result, "before it begins"));
    a = say(&f, "circuit.add", "", "{\"title\":\"M\",\"objects\":\"A~B\"}");
    ck_assert_uint_eq(a.done, 1);
    a = say(&f, "circuit.add", "", "{\"title\":\"M\",\"objects\":\"C~D\"}");
    ck_assert_uint_eq(a.done, 0);
    a = say(&f, "circuit.edit", "M", "{\"objects\":\"C~D\"}");
    ck_assert_uint_eq(a.done, 1);
    a = say(&f, "circuit.close", "CIR-1", "");
    ck_assert_uint_eq(a.done, 1);
    a = say(&f, "circuit.edit", "CIR-1", "{\"objects\":\"E~F\"}");
    ck_assert_ptr_nonnull(strstr(a.result, "closed by ann"));
    a = say(&f, "resolve", "PRB-7", "");
    ck_assert_uint_eq(a.done, 0);
    a = say(&f, "resolve", "A~B", "");
    ck_assert_ptr_nonnull(strstr(a.result, "no open problem"));
    a = say(&f, "change.add", "", "{\"title\":\"\\u001b[2Jx\",\"objects\":\"*\"}");
    ck_assert_uint_eq(a.done, 1);
    ck_assert_ptr_null(strchr(f.c->registers[REGISTER_CHANGE].item[0]->e.title, '\x1b'));
    ck_assert_uint_eq(f.c->audits.n, 13);
    fixture_commit(&f);
    ck_assert_uint_eq(f.c->audits.n, 0);
    fixture_stop(&f);
}
END_TEST

START_TEST(patterns_name_objects)
{
    struct fixture f;

    fixture_start(&f);
    say(&f, "circuit.add", "", "{\"title\":\"MPLS\",\"objects\":\"Branch-1?~DC, Lager\"}");
    say(&f, "owner.add", "", "{\"objects\":\"circuit:MPLS\",\"owner\":\"carrier\"}");
    say(&f, "silence.add", "", "{\"objects\":\"Branch-2*\",\"lasts_s\":60}");
    const struct control_object *in = control_object(f.c, WINDOW_PATH, "Branch-12~DC");
    const struct control_object *side = control_object(f.c, WINDOW_PATH, "HQ~Lager");
    const struct control_object *out = control_object(f.c, WINDOW_PATH, "Branch-21~DC");
    ck_assert_ptr_nonnull(register_find(f.c, REGISTER_OWNER, in, f.now_ns));
    ck_assert_ptr_nonnull(register_find(f.c, REGISTER_OWNER, side, f.now_ns));
    ck_assert_ptr_null(register_find(f.c, REGISTER_OWNER, out, f.now_ns));
    ck_assert_ptr_nonnull(register_find(f.c, REGISTER_SILENCE, out, f.now_ns + 59 * NS_PER_S));
    ck_assert_ptr_null(register_find(f.c, REGISTER_SILENCE, out, f.now_ns + MIN_NS));
    ck_assert_ptr_null(register_find(f.c, REGISTER_SILENCE, in, f.now_ns));
    fixture_commit(&f);
    fixture_reopen(&f);
    in = control_object(f.c, WINDOW_PATH, "Branch-12~DC");
    ck_assert_str_eq(register_find(f.c, REGISTER_OWNER, in, f.now_ns)->owner, "carrier");
    fixture_stop(&f);
}
END_TEST

/* Ten minutes with commands in between; stopped after each step and gone on with, each is given once. */
START_TEST(commands_in_a_stream)
{
    char path[] = "/tmp/spanward-commands-XXXXXX";
    struct stream_header h = {.window_s = 60};
    struct observation o = quiet_observation();
    struct replay_options options = {.max_steps = 1};
    struct replay_result result;
    struct error e = {""};
    struct fixture f;
    char longer[2000] = "{\"verb\":\"change.add\",\"arguments\":{\"title\":\"t\",\"objects\":\"A~B\",\"reason\":\"";
    size_t at = strlen(longer);

    memset(longer + at, 'x', 150);
    strcpy(longer + at + 150, "\"}}");
    FILE *out = fdopen(mkstemp(path), "wb");
    ck_assert(stream_write_header(out, &h));
    ck_assert(stream_write_name(out, 0, WINDOW_PATH, "A~B"));
    for (uint64_t m = 0; m < 10; m++) {
        uint64_t start_ns = FIXTURE_MONDAY_NS + m * MIN_NS;
        ck_assert(stream_write_command(out, start_ns, longer));
        ck_assert(stream_write_command(out, start_ns, "{\"verb\":\"dance\",\"actor\":\"bob\"}"));
        ck_assert(stream_write_window(out, 0, WINDOW_PATH, start_ns, 9, &o));
        ck_assert(stream_write_command(out, start_ns + 30 * NS_PER_S, longer));
    }
    ck_assert(stream_write_command(out, FIXTURE_MONDAY_NS + 3600 * NS_PER_S, longer));
    fclose(out);
    fixture_start(&f);
    uint64_t given = 0;
    for (int i = 0; i < 12; i++) {
        struct stream_reader *r;
        ck_assert_int_eq(stream_open(path, &r, &e), 0);
        ck_assert_int_eq(replay_run(f.c, r, &options, &result, &e), 0);
        stream_close(r);
        given += result.commands;
        fixture_reopen(&f);
    }
    ck_assert(result.at_end);
    ck_assert_uint_eq(given, 31);
    ck_assert_uint_eq(f.c->registers[REGISTER_CHANGE].n, 21);
    ck_assert_uint_eq(f.c->registers[REGISTER_CHANGE].item[1]->e.start_ns, FIXTURE_MONDAY_NS + 30 * NS_PER_S);
    ck_assert_uint_eq(strlen(f.c->registers[REGISTER_CHANGE].item[20]->e.reason), 150);
    fixture_stop(&f);
    unlink(path);
}
END_TEST

UNIT_MAIN("commands", once_through_the_inbox, what_does_not_decode_is_passed, refused_with_a_reason,
          patterns_name_objects, commands_in_a_stream)
