/* SPDX-License-Identifier: BSD-3-Clause */

/* Prefix parsing, longest match against a linear search, automatic sites, names and limits. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/bytes.h"
#include "common/site.h"
#include "tests/unit/unit.h"

static struct ip_addr ip(const char *text)
{
    struct ip_addr a = {0};

    ck_assert_int_eq(inet_pton(strchr(text, ':') != NULL ? AF_INET6 : AF_INET, text, a.byte), 1);
    return a;
}

static const char *site_of(const struct site_table *t, const char *text)
{
    static char name[SITE_NAME_BYTES];
    struct ip_addr a = ip(text);

    site_name(t, site_lookup(t, &a, strchr(text, ':') != NULL ? 6 : 4), name);
    return name;
}

START_TEST(cidrs)
{
    static const char *const bad[] = {"",
                                      "/",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/08",
                                      "10.0.0.1/24",
                                      "2001:db8::/129",
                                      "2001:db8::1/64",
                                      "10.0.0/8",
                                      "10.0.0.0/8x",
                                      "host",
                                      "10.0.0.0/ 8",
                                      "1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333/3"};
    struct ip_addr a;
    uint8_t af = 0, len = 0;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(ip_parse_cidr(bad[i], &a, &af, &len) == -EINVAL && af == 0, "%s", bad[i]);
    ck_assert_int_eq(ip_parse_cidr("10.128.0.0/9", &a, &af, &len), 0);
    ck_assert(af == 4 && len == 9 && a.byte[1] == 128 && a.byte[4] == 0);
    ck_assert_int_eq(ip_parse_cidr("2001:db8::7", &a, &af, &len), 0);
    ck_assert(af == 6 && len == 128 && a.byte[15] == 7);
    ck_assert_int_eq(ip_parse_cidr("0.0.0.0/0", &a, &af, &len), 0);
    ck_assert(af == 4 && len == 0);
}
END_TEST

START_TEST(longest_prefix_wins)
{
    struct site_table *t = site_table_new();

    ck_assert_int_eq(site_table_add(t, "wide", "10.0.0.0/8"), 0);
    ck_assert_int_eq(site_table_add(t, "hq", "10.1.0.0/16"), 0);
    ck_assert_int_eq(site_table_add(t, "hq", "2001:db8::/32"), 0);
    ck_assert_int_eq(site_table_add(t, "lab", "10.1.128.0/17"), 0);
    ck_assert_int_eq(site_table_add(t, "host", "10.1.128.9"), 0);
    ck_assert_int_eq(site_table_add(t, "odd", "10.64.0.0/11"), 0);
    site_table_finish(t);
    ck_assert_uint_eq(site_count(t), 5);
    ck_assert_str_eq(site_of(t, "10.1.2.3"), "hq");
    ck_assert_str_eq(site_of(t, "10.1.128.8"), "lab");
    ck_assert_str_eq(site_of(t, "10.1.128.9"), "host");
    ck_assert_str_eq(site_of(t, "10.95.255.255"), "odd");
    ck_assert_str_eq(site_of(t, "10.96.0.0"), "wide");
    ck_assert_str_eq(site_of(t, "2001:db8:ffff::1"), "hq");
    ck_assert_str_eq(site_of(t, "192.0.2.77"), "192.0.2.0/24");
    ck_assert_str_eq(site_of(t, "2001:db9:1:2::3"), "2001:db9:1::/48");
    /* The bytes of an IPv4 prefix do not match an IPv6 address. */
    ck_assert_str_eq(site_of(t, "a01::1"), "a01::/48");
    site_table_free(t);
}
END_TEST

START_TEST(a_prefix_belongs_to_one_site)
{
    char long_name[SITE_NAME_BYTES + 1];
    struct site_table *t = site_table_new();

    memset(long_name, 'x', SITE_NAME_BYTES);
    long_name[SITE_NAME_BYTES] = '\0';
    ck_assert_int_eq(site_table_add(t, "a", "10.0.0.0/8"), 0);
    ck_assert_int_eq(site_table_add(t, "a", "10.0.0.0/8"), 0);
    ck_assert_int_eq(site_table_add(t, "b", "10.0.0.0/8"), -EEXIST);
    ck_assert_int_eq(site_table_add(t, "b", "10.0.0.0/9"), 0);
    ck_assert_int_eq(site_table_add(t, long_name, "10.0.0.0/10"), -EINVAL);
    ck_assert_int_eq(site_table_add(t, "", "10.0.0.0/10"), -EINVAL);
    ck_assert_uint_eq(site_count(t), 2);
    site_table_free(t);
    site_table_free(NULL);
}
END_TEST

START_TEST(a_default_route_is_a_site)
{
    struct site_table *t = site_table_new();

    ck_assert_int_eq(site_table_add(t, "internet", "0.0.0.0/0"), 0);
    site_table_finish(t);
    ck_assert_str_eq(site_of(t, "8.8.8.8"), "internet");
    ck_assert_str_eq(site_of(t, "2001:db8::1"), "2001:db8::/48");
    site_table_free(t);
}
END_TEST

/* Thousands of random prefixes against a search through all of them. */
START_TEST(agrees_with_a_linear_search)
{
    enum { N = 3000 };
    static struct {
        uint32_t net;
        uint8_t len;
        char name[16];
    } p[N];
    struct site_table *t = site_table_new();
    size_t n = 0;

    for (uint64_t seed = 1; n < N; seed++) {
        char cidr[32];
        uint8_t len = (uint8_t)(8 + mix64(seed) % 23);
        uint32_t net = (uint32_t)(0x0a000000u | (mix64(seed * 7 + 1) & 0xffffffu)) & (0xffffffffu << (32 - len));
        snprintf(cidr, sizeof(cidr), "%u.%u.%u.%u/%u", net >> 24, net >> 16 & 255, net >> 8 & 255, net & 255, len);
        snprintf(p[n].name, sizeof(p[n].name), "s%zu", n);
        p[n].net = net;
        p[n].len = len;
        int r = site_table_add(t, p[n].name, cidr);
        ck_assert(r == 0 || r == -EEXIST);
        n += r == 0;
    }
    site_table_finish(t);
    for (uint64_t i = 0; i < 2000; i++) {
        uint32_t addr = (uint32_t)(0x0a000000u | (mix64(i + 99991) & 0xffffffu));
        char text[20], automatic[24];
        const char *want = NULL;
        int best = -1;
        for (size_t k = 0; k < N; k++) {
            if ((addr & (0xffffffffu << (32 - p[k].len))) == p[k].net && p[k].len > best) {
                best = p[k].len;
                want = p[k].name;
            }
        }
        snprintf(text, sizeof(text), "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255);
        snprintf(automatic, sizeof(automatic), "%u.%u.%u.0/24", addr >> 24, addr >> 16 & 255, addr >> 8 & 255);
        ck_assert_str_eq(site_of(t, text), want != NULL ? want : automatic);
    }
    site_table_free(t);
}
END_TEST

START_TEST(there_is_a_limit)
{
    struct site_table *t = site_table_new();
    char name[24], cidr[24];
    int r = 0;

    for (unsigned i = 0; i <= 65000; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        snprintf(cidr, sizeof(cidr), "10.%u.%u.%u/32", i >> 16, i >> 8 & 255, i & 255);
        r = site_table_add(t, name, cidr);
        ck_assert(r == (i < 65000 ? 0 : -E2BIG));
    }
    ck_assert_uint_eq(site_count(t), 65000);
    site_table_finish(t);
    ck_assert_str_eq(site_of(t, "10.0.253.231"), "s64999");
    site_table_free(t);
}
END_TEST

UNIT_MAIN("site", cidrs, longest_prefix_wins, a_prefix_belongs_to_one_site, a_default_route_is_a_site,
          agrees_with_a_linear_search, there_is_a_limit)
