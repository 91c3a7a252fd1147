/* SPDX-License-Identifier: BSD-3-Clause */

/* What `spanward read` prints, from the probe's records: the worst are kept, memory is bounded, nothing is guessed. */

#include "tests/unit/cli_run.h"

#include <errno.h>
#include <malloc.h>
#include "apps/cli/report.h"
#include "apps/cli/rows.h"

START_TEST(loss_by_side)
{
    char text[2048];

    flow_line(text, sizeof(text), "10.0.0.1", 51000, 1);
    json_t *row = row_of_flow(json_loads(text, 0, NULL));
    ck_assert_str_eq(json_string_value(row_value(row, "derived.client")), "10.0.0.1:51000");
    ck_assert_str_eq(json_string_value(row_value(row, "derived.server")), "[2001:db8::1]:443");
    ck_assert_int_eq(json_integer_value(row_value(row, "derived.lost_client_pkts")), 1 + 4);
    ck_assert_int_eq(json_integer_value(row_value(row, "derived.lost_server_pkts")), 2 + 3);
    ck_assert_int_eq(json_integer_value(row_value(row, "derived.lost_pkts")), 11);
    ck_assert_double_eq_tol(json_number_value(row_value(row, "derived.loss_pct")), 11, 1e-9);
    ck_assert_double_eq_tol(json_number_value(row_value(row, "derived.rtt_client_us")), 2, 1e-9);
    ck_assert_ptr_null(row_value(row, "derived.rtt_server_us")); /* n = 0 is not 0 us */
    json_object_set_new(json_object_get(json_object_get(row, "tcp"), "c2s"), "lost_upstream_pkts", json_null());
    row_of_flow(row);
    ck_assert_ptr_null(row_value(row, "derived.lost_client_pkts")); /* one unknown part: the sum is unknown */
    ck_assert_ptr_null(row_value(row, "derived.loss_pct"));
    ck_assert_ptr_nonnull(row_value(row, "derived.lost_server_pkts"));
    json_decref(row);
}
END_TEST

START_TEST(worst_are_kept)
{
    struct worst w;

    ck_assert_int_eq(worst_init(&w, 3), 0);
    for (unsigned i = 0; i < 1000; i++) {
        unsigned bad = i * 7919 % 1000;
        worst_offer(&w, json_integer(bad), (struct badness){{bad / 2, bad % 2}});
    }
    json_t *rows = worst_rows(&w);
    ck_assert_uint_eq(json_array_size(rows), 3);
    ck_assert_uint_eq(w.n_seen, 1000);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(json_integer_value(json_array_get(rows, i)), 999 - i);
    json_decref(rows);
    worst_fini(&w);
}
END_TEST

static char *report_text(struct report *r)
{
    struct table_view view = {.utc = true};
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    report_print(f, r, &view);
    fclose(f);
    return text;
}

START_TEST(report_of_records)
{
    struct report r;
    struct error e = {""};
    char line[2048];
    const char *const others[] = {
        ("{\"type\":\"verdict\",\"mirror\":\"m\\u001b[2J\",\"both_directions\":false,\"duplicate_pct\":0.0,"
         "\"truncated\":true,"
         "\"capture_loss_pct\":null,\"notes\":[\"look \\u001bhere\"]}"),
        ("{\"type\":\"ledger\",\"mirror\":\"m\",\"offered\":10,\"processed\":7,\"drops\":{\"decode_short\":1,"
         "\"filtered\":null}}"),
        "{\"type\":\"event\",\"ts_ns\":2,\"kind\":\"bfd.down\",\"severity\":\"minor\",\"subject\":\"x\"}",
        "{\"type\":\"event\",\"ts_ns\":3,\"kind\":\"bfd.down\",\"severity\":\"major\",\"subject\":\"y\"}",
        "{\"type\":\"from_the_future\",\"x\":1}",
    };
    ck_assert_int_eq(report_init(&r), 0);
    for (int i = 0; i < 100; i++) {
        flow_line(line, sizeof(line), "10.0.0.1", 1000 + i, i);
        ck_assert_int_eq(report_add(&r, line, strlen(line), &e), 0);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ck_assert_int_eq(report_add(&r, others[i], strlen(others[i]), &e), 0);
    char *text = report_text(&r);
    ck_assert_ptr_null(strchr(text, '\033'));
    expect_in(text, "ONE DIRECTION ONLY");
    expect_in(text, "capture loss unknown");
    expect_in(text, "look \\x1bhere");
    expect_in(text, "DOES NOT ADD UP"); /* 10 offered, 7 + 1 accounted for */
    expect_in(text, "8 of 100");
    expect_in(text, "10.0.0.1:1099");
    ck_assert_ptr_null(strstr(text, "10.0.0.1:1050"));
    expect_in(text, "major     bfd.down      2");
    free(text);
    report_fini(&r);
}
END_TEST

/* The heap after 30,000 flows is what it was after 1,000. (Under ASan mallinfo2 counts nothing; the plain build does.)
 */
START_TEST(report_memory_does_not_grow)
{
    struct report r;
    struct error e;
    char line[2048];
    size_t after_1000 = 0;

    ck_assert_int_eq(report_init(&r), 0);
    for (int i = 0; i < 30000; i++) {
        flow_line(line, sizeof(line), "10.0.0.1", i % 65536, i * 7919 % 30000);
        ck_assert_int_eq(report_add(&r, line, strlen(line), &e), 0);
        if (i == 1000)
            after_1000 = mallinfo2().uordblks;
    }
    ck_assert_uint_le(mallinfo2().uordblks, after_1000 + 4096);
    report_fini(&r);
}
END_TEST

START_TEST(report_refuses_what_is_no_record)
{
    static const char *const bad[] = {
        "", "{", "null", "[]", "{\"type\":1}", "{\"a\":\"b\"}", "\xff", "{\"type\":\"flow\""};
    struct error e;
    struct report r;

    ck_assert_int_eq(report_init(&r), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(report_add(&r, bad[i], strlen(bad[i]), &e), -EBADMSG);
        expect_in(e.text, "line 1 is no record");
    }
    /* records of the right type and the wrong shape are taken as far as they go */
    ck_assert_int_eq(report_add(&r, "{\"type\":\"flow\",\"tcp\":7,\"c2s\":[]}", 32, &e), 0);
    ck_assert_int_eq(report_add(&r, "{\"type\":\"path\",\"path\":{}}", 25, &e), 0);
    ck_assert_int_eq(report_add(&r, "{\"type\":\"event\",\"kind\":{}}", 26, &e), 0);
    free(report_text(&r));
    report_fini(&r);
}
END_TEST

CLI_MAIN("cli_report", loss_by_side, worst_are_kept, report_of_records, report_memory_does_not_grow,
         report_refuses_what_is_no_record)
