/* SPDX-License-Identifier: BSD-3-Clause */

/* Order of rules, the built-in list, endpoints that must be refused, and protocol names. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/service.h"
#include "tests/unit/unit.h"

static const char *name_of(const struct service_table *t, uint8_t proto, uint16_t port, const char *server)
{
    static char name[SERVICE_NAME_BYTES];
    struct ip_addr a = {0};
    uint8_t af = strchr(server, ':') != NULL ? 6 : 4;

    inet_pton(af == 6 ? AF_INET6 : AF_INET, server, a.byte);
    service_name(t, service_lookup(t, proto, port, &a, af), name);
    return name;
}

START_TEST(well_known_ports_by_protocol)
{
    struct service_table *t = service_table_new();

    ck_assert_str_eq(name_of(t, 6, 443, "10.0.0.1"), "https");
    ck_assert_str_eq(name_of(t, 17, 443, "10.0.0.1"), "quic");
    ck_assert_str_eq(name_of(t, 17, 53, "10.0.0.1"), "dns");
    ck_assert_str_eq(name_of(t, 6, 53, "10.0.0.1"), "dns");
    ck_assert_str_eq(name_of(t, 6, 20, "10.0.0.1"), "ftp-data");
    ck_assert_str_eq(name_of(t, 6, 27017, "::1"), "mongodb");
    ck_assert_str_eq(name_of(t, 6, 51000, "10.0.0.1"), "tcp/51000");
    ck_assert_str_eq(name_of(t, 17, 22, "10.0.0.1"), "udp/22");
    ck_assert_str_eq(name_of(t, 132, 36412, "10.0.0.1"), "sctp/36412");
    ck_assert_str_eq(name_of(t, 1, 0, "10.0.0.1"), "icmp");
    ck_assert_str_eq(name_of(t, 200, 7, "10.0.0.1"), "200");
    ck_assert(service_is_listed(t, 6, 22) && !service_is_listed(t, 17, 22) && !service_is_listed(t, 1, 22));
    ck_assert(!service_is_listed(t, 6, 65535) && !service_is_listed(t, 6, 0));
    service_table_free(t);
}
END_TEST

START_TEST(rules_come_first_and_in_order)
{
    struct service_table *t = service_table_new();

    ck_assert_int_eq(service_table_add(t, "erp", "tcp/443@10.1.0.0/17"), 0);
    ck_assert_int_eq(service_table_add(t, "range", "tcp/8000-8010"), 0);
    ck_assert_int_eq(service_table_add(t, "late", "tcp/8005"), 0);
    ck_assert_int_eq(service_table_add(t, "v6", "udp/9999@2001:db8::/33"), 0);
    ck_assert_int_eq(service_table_add(t, "https", "tcp/9443"), 0);
    ck_assert_int_eq(service_table_add(t, "top", "sctp/65535"), 0);
    ck_assert_str_eq(name_of(t, 6, 443, "10.1.127.255"), "erp");
    ck_assert_str_eq(name_of(t, 6, 443, "10.1.128.0"), "https");
    ck_assert_str_eq(name_of(t, 6, 443, "a01::1"), "https");
    ck_assert_str_eq(name_of(t, 6, 8000, "10.0.0.1"), "range");
    ck_assert_str_eq(name_of(t, 6, 8010, "10.0.0.1"), "range");
    ck_assert_str_eq(name_of(t, 6, 8005, "10.0.0.1"), "range");
    ck_assert_str_eq(name_of(t, 6, 8011, "10.0.0.1"), "tcp/8011");
    ck_assert_str_eq(name_of(t, 17, 9999, "2001:db8:7fff::1"), "v6");
    ck_assert_str_eq(name_of(t, 17, 9999, "2001:db8:8000::1"), "udp/9999");
    ck_assert_str_eq(name_of(t, 132, 65535, "10.0.0.1"), "top");
    ck_assert(service_is_listed(t, 17, 9999) && service_is_listed(t, 132, 65535));

    struct ip_addr any = {0};
    struct service_id a = service_lookup(t, 6, 443, &any, 4), b = service_lookup(t, 6, 9443, &any, 4);
    ck_assert_uint_eq(a.named, b.named); /* one service, counted together */
    service_table_free(t);
}
END_TEST

START_TEST(a_range_lists_its_ports_and_no_others)
{
    static const unsigned ranges[][2] = {
        {30000, 30000}, {31999, 32064}, {40000, 40700}, {65535, 65535}, {50047, 50048}};
    struct service_table *t = service_table_new();
    char endpoint[32];

    for (size_t i = 0; i < 5; i++) {
        snprintf(endpoint, sizeof(endpoint), "sctp/%u-%u", ranges[i][0], ranges[i][1]);
        ck_assert_int_eq(service_table_add(t, "x", endpoint), 0);
    }
    for (unsigned port = 0; port <= 65535; port++) {
        bool want = false;
        for (size_t i = 0; i < 5; i++)
            want |= port >= ranges[i][0] && port <= ranges[i][1];
        ck_assert_int_eq(service_is_listed(t, 132, (uint16_t)port), want);
    }
    service_table_free(t);
}
END_TEST

START_TEST(bad_endpoints)
{
    static const char *const bad[] = {"",
                                      "443",
                                      "tcp",
                                      "tcp/",
                                      "tcp/x",
                                      "tcp/65536",
                                      "tcp/1-",
                                      "tcp/9-8",
                                      "icmp/1",
                                      "tcp/443@",
                                      "tcp/443@10.0.0.1/8",
                                      "tcp/443 ",
                                      "tcp/0443",
                                      "tcp/-1",
                                      "TCP/443",
                                      "tcp/1-2-3",
                                      "tcp/99999999999999999999"};
    struct service_table *t = service_table_new();

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(service_table_add(t, "x", bad[i]) == -EINVAL, "%s", bad[i]);
    ck_assert_int_eq(service_table_add(t, "", "tcp/1"), -EINVAL);
    ck_assert_int_eq(service_table_add(t, "a-name-that-is-longer-than-the-48-bytes-it-may-have", "tcp/1"), -EINVAL);
    ck_assert(!service_is_listed(t, 6, 1));
    service_table_free(t);
    service_table_free(NULL);
}
END_TEST

START_TEST(protocol_names)
{
    char buf[8];

    ck_assert_str_eq(proto_name(6, buf), "tcp");
    ck_assert_str_eq(proto_name(17, buf), "udp");
    ck_assert_str_eq(proto_name(1, buf), "icmp");
    ck_assert_str_eq(proto_name(58, buf), "icmp6");
    ck_assert_str_eq(proto_name(253, buf), "253");
}
END_TEST

UNIT_MAIN("service", well_known_ports_by_protocol, rules_come_first_and_in_order, a_range_lists_its_ports_and_no_others,
          bad_endpoints, protocol_names)
