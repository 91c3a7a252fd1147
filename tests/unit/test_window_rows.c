/* SPDX-License-Identifier: BSD-3-Clause */

/* What a table shows of a window is what --json says about it, column for column. */

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "apps/cli/window_rows.h"
#include "common/bytes.h"

static uint64_t state;

static uint64_t below(uint64_t n)
{
    return mix64(++state) % n;
}

/* A window in which most counters count, with losses that are unknown now and then. */
static void fill(struct window *w, enum window_scope scope)
{
    uint64_t *counter = (uint64_t *)&w->c;

    *w = (struct window){.scope = scope, .quality = below(3), .missing_pct = (uint8_t)below(101)};
    w->start_ns = 1760400000ull * 1000000000 + below(1000) * 10000000000ull;
    w->length_ns = 10000000000ull;
    snprintf(w->name, sizeof(w->name), "C-%d", (int)below(3));
    for (size_t i = 0; i < sizeof(w->c) / sizeof(*counter); i++)
        counter[i] = below(4) == 0 ? 0 : below(1u << (1 + below(30)));
    for (unsigned h = 0; h < WINDOW_HIST_COUNT; h++)
        if (below(4) != 0)
            w->q[h] =
                (struct window_quantiles){.n = 1 + below(100), .p50_ns = below(1u << 30), .p90_ns = below(1u << 30)};
}

static bool same(const struct table_value *a, const struct table_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == TABLE_TEXT)
        return strcmp(a->text.at, b->text.at) == 0;
    if (a->kind == TABLE_WHOLE)
        return a->whole == b->whole;
    return a->kind == TABLE_NOTHING || (a->kind == TABLE_REAL && a->real == b->real);
}

static const struct {
    enum window_scope scope;
    const struct column *columns;
} tables[] = {{WINDOW_PATH, path_columns},       {WINDOW_SERVICE, service_columns}, {WINDOW_MIRROR, mirror_columns},
              {WINDOW_CIRCUIT, circuit_columns}, {WINDOW_VLAN, vlan_columns},       {WINDOW_TUNNEL, tunnel_columns},
              {WINDOW_HOST, host_columns}};

START_TEST(each_column_shows_what_json_says)
{
    struct config_circuit circuits[] = {{.id = "C-0", .capacity_bits_per_s = 100000000}, {.id = "C-1"}};
    struct config config = {.circuits = circuits, .n_circuits = 2};
    const struct window_rows rows = {.config = &config};
    enum window_scope scope = tables[_i].scope;
    unsigned known[64] = {0};
    size_t n_columns = column_count(tables[_i].columns);

    for (unsigned k = 0; k < 300; k++) {
        struct window w;
        fill(&w, scope);
        const struct window_row row = {.w = &w, .sensor = "s-1"};
        json_t *json = window_row_json(&rows, &row);
        for (size_t c = 0; c < n_columns; c++) {
            const char *key = tables[_i].columns[c].key;
            struct table_value want = table_value_of(row_value(json, key)), got = window_row_value(&rows, &row, key);
            ck_assert_msg(same(&want, &got), "%s of a %s", key, window_scope_name(scope));
            known[c] += got.kind != TABLE_NOTHING;
        }
        json_decref(json);
    }
    for (size_t c = 0; c < n_columns; c++) /* capacities are known of circuits only */
        ck_assert_msg(known[c] != 0 || (scope != WINDOW_CIRCUIT && strcmp(tables[_i].columns[c].name, "use") == 0),
                      "%s is never known", tables[_i].columns[c].name);
}
END_TEST

START_TEST(the_worst_comes_first_and_ties_by_name)
{
    struct window *w = calloc(4, sizeof(*w));
    struct window_rows rows = {.config = NULL};

    for (size_t i = 0; i < 4; i++) {
        w[i].scope = WINDOW_PATH;
        snprintf(w[i].name, sizeof(w[i].name), "p%zu", 3 - i);
        w[i].c.dir[0].data_pkts = w[i].c.dir[0].judged_pkts = 10;
    }
    w[2].c.dir[0].lost_upstream_pkts = 5;
    w[3].c.refused_connects = 1;
    ck_assert_int_eq(window_rows_add(&rows, w, 4, "s"), 0);
    window_rows_sort(&rows);
    ck_assert_str_eq(rows.row[0].w->name, "p1");
    ck_assert_str_eq(rows.row[1].w->name, "p0");
    ck_assert_str_eq(rows.row[2].w->name, "p2");
    ck_assert_str_eq(rows.row[3].w->name, "p3");
    window_rows_fini(&rows);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window_rows");
    TCase *t = tcase_create("rows");
    SRunner *runner = srunner_create(suite);

    tcase_add_loop_test(t, each_column_shows_what_json_says, 0, sizeof(tables) / sizeof(tables[0]));
    tcase_add_test(t, the_worst_comes_first_and_ties_by_name);
    suite_add_tcase(suite, t);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
