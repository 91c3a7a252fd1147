/* SPDX-License-Identifier: BSD-3-Clause */

/* The configuration: defaults, every type and list, and for each mistake the exact line that the operator reads. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/service.h"
#include "common/site.h"
#include "tests/unit/unit.h"

static struct config *parse(const char *text)
{
    struct config *c = NULL;
    struct error e = {""};

    ck_assert_msg(config_parse(text, strlen(text), "t.yaml", &c, &e) == 0, "%s", e.text);
    return c;
}

static void refuse(const char *text, const char *want)
{
    struct config *c = NULL;
    struct error e = {""};

    ck_assert_int_lt(config_parse(text, strlen(text), "t.yaml", &c, &e), 0);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(e.text, want);
}

START_TEST(defaults)
{
    struct config *c = NULL;

    ck_assert_int_eq(config_load(NULL, &c, NULL), 0);
    ck_assert_uint_eq(config_u64(c, "capture.flows"), 1048576);
    ck_assert_uint_eq(config_u64(c, "store.spool"), 64 << 20);
    ck_assert_uint_eq(config_u64(c, "window.length"), 10000000000ull);
    ck_assert(!config_bool(c, "capture.vlan_in_key"));
    ck_assert_double_eq(config_double(c, "detect.loss_percent"), 1);
    ck_assert_str_eq(config_string(c, "sensor.name"), "");
    ck_assert_str_eq(config_string(c, "tickets.mode"), "auto");
    ck_assert(!config_is_set(c, "window.length"));
    ck_assert_uint_eq(c->n_sites, 0);
    config_free(c);
    config_free(NULL);
}
END_TEST

START_TEST(every_type)
{
    struct config *c = parse("sensor: {name: 'hq 1'}\n"
                             "capture:\n  flows: 2048\n  vlan_in_key: yes\n  ring: 1.5 GiB\n"
                             "detect:\n  loss_percent: 0.25\n  reopen_window: 2h\n"
                             "tickets:\n  mode: file\n  webhook:\n    url: https://h/\n"
                             "store:\nwindow:\n  length: 30s\n");

    ck_assert_str_eq(config_string(c, "sensor.name"), "hq 1");
    ck_assert_uint_eq(config_u64(c, "capture.flows"), 2048);
    ck_assert(config_bool(c, "capture.vlan_in_key"));
    ck_assert_uint_eq(config_u64(c, "capture.ring"), 3ull << 29);
    ck_assert_double_eq(config_double(c, "detect.loss_percent"), 0.25);
    ck_assert_uint_eq(config_u64(c, "detect.reopen_window"), 7200ull * 1000000000);
    ck_assert_str_eq(config_string(c, "tickets.mode"), "file");
    ck_assert_str_eq(config_string(c, "tickets.webhook.url"), "https://h/");
    ck_assert(config_is_set(c, "window.length") && !config_is_set(c, "flow.active"));
    config_free(c);
    config_free(parse(""));
    config_free(parse("# nothing\n---\n...\n"));
}
END_TEST

START_TEST(lists)
{
    struct config *c = parse("sites:\n"
                             "  - name: hq\n    prefixes: [10.0.0.0/16, '2001:db8::/32']\n    owner: core\n"
                             "  - {name: b12, prefixes: [10.12.0.0/16]}\n"
                             "services:\n  - {name: erp, endpoints: [tcp/8443, 'tcp/443@10.0.0.0/8']}\n"
                             "mirrors:\n  - {name: m, device: 0000:01:00.0, capacity: 2.5Gbit/s}\n"
                             "circuits:\n  - {id: C-1, carrier: X, site: b12, capacity: 100Mbit/s, contact: '+1'}\n"
                             "  - {id: C-2, site: 192.0.2.0/24}\n"
                             "owners:\n  - {kind: site, match: 'b*', owner: field}\n  - {kind: default, owner: noc}\n");
    struct error e;
    struct site_table *sites = config_site_table(c, &e);
    struct service_table *services = config_service_table(c, &e);
    struct ip_addr a = {{10, 12, 1, 1}};
    char name[SITE_NAME_BYTES];

    ck_assert(c->n_sites == 2 && c->n_services == 1 && c->n_mirrors == 1 && c->n_circuits == 2 && c->n_owners == 2);
    ck_assert_str_eq(c->sites[0].owner, "core");
    ck_assert_ptr_null(c->sites[1].owner);
    ck_assert_uint_eq(c->sites[0].n_prefixes, 2);
    ck_assert_str_eq(c->sites[0].prefixes[1], "2001:db8::/32");
    ck_assert_uint_eq(c->mirrors[0].capacity_bits_per_s, 2500000000ull);
    ck_assert_uint_eq(c->circuits[0].capacity_bits_per_s, 100000000);
    ck_assert_uint_eq(c->circuits[1].capacity_bits_per_s, 0);
    ck_assert_str_eq(c->owners[0].match_kind, "site");
    ck_assert_ptr_null(c->owners[1].match);
    ck_assert(sites != NULL && services != NULL);
    site_name(sites, site_lookup(sites, &a, 4), name);
    ck_assert_str_eq(name, "b12");
    service_name(services, service_lookup(services, 6, 443, &a, 4), name);
    ck_assert_str_eq(name, "erp");
    site_table_free(sites);
    service_table_free(services);
    config_free(c);
}
END_TEST

START_TEST(unknown_keys_get_a_suggestion)
{
    refuse("captur:\n  flows: 1\n", "t.yaml:1: unknown key 'captur' (did you mean 'capture'?)");
    refuse("capture:\n  flows: 4096\n  worker: 2\n",
           "t.yaml:3: unknown key 'worker' in capture (did you mean 'workers'?)");
    refuse("site: []\n", "t.yaml:1: unknown key 'site' (did you mean 'sites'?)");
    refuse("zzzzzzzzz: 1\n", "t.yaml:1: unknown key 'zzzzzzzzz'");
    refuse("tickets:\n  webhook:\n    uri: x\n",
           "t.yaml:3: unknown key 'uri' in tickets.webhook (did you mean 'url'?)");
    refuse("sites:\n  - name: a\n    prefix: [10.0.0.0/8]\n",
           "t.yaml:3: unknown key 'prefix' in sites (did you mean 'prefixes'?)");
    refuse("capture.flows: 4096\n", "t.yaml:1: unknown key 'capture.flows'");
    refuse("\"a\\e[31mb\": 1\n", "t.yaml:1: unknown key 'a\\x1b[31mb'");
    refuse("'': 1\n", "t.yaml:1: unknown key ''");
}
END_TEST

START_TEST(values_out_of_type_or_range)
{
    refuse("capture:\n  workers: 65\n",
           "t.yaml:2: capture.workers: 65 is out of range; allowed: a whole number from 1 to 64 workers");
    refuse("capture:\n  workers: two\n", "t.yaml:2: capture.workers: 'two' is not a whole number from 1 to 64 workers");
    refuse("capture:\n  workers: 1.5\n", "t.yaml:2: capture.workers: '1.5' is not a whole number from 1 to 64 workers");
    refuse("capture:\n  workers: -1\n", "t.yaml:2: capture.workers: '-1' is not a whole number from 1 to 64 workers");
    refuse("capture:\n  workers: 18446744073709551617\n",
           "t.yaml:2: capture.workers: '18446744073709551617' is not a whole number from 1 to 64 workers");
    refuse("capture:\n  workers:\n", "t.yaml:2: capture.workers: '' is not a whole number from 1 to 64 workers");
    refuse("capture:\n  workers: [1]\n", "t.yaml:2: capture.workers is one value, not a list; allowed: a whole number "
                                         "from 1 to 64 workers");
    refuse("capture:\n  vlan_in_key: 2\n", "t.yaml:2: capture.vlan_in_key: '2' is not true or false");
    refuse("store:\n  spool: 64MB\n", "t.yaml:2: store.spool: '64MB' is not a size such as 64MiB from 1MiB to 16GiB");
    refuse("store:\n  spool: 99999999999TiB\n",
           "t.yaml:2: store.spool: '99999999999TiB' is not a size such as 64MiB from 1MiB to 16GiB");
    refuse("window:\n  length: 10\n",
           "t.yaml:2: window.length: '10' is not a time such as 10s, 5m, 2h or 7d from 1s to 10m");
    refuse("window:\n  length: 11m\n", "t.yaml:2: window.length: 11m is out of range; allowed: a time such as 10s, 5m, "
                                       "2h or 7d from 1s to 10m");
    refuse("detect:\n  loss_percent: nan\n", "t.yaml:2: detect.loss_percent: 'nan' is not a number from 0.01 to 100");
    refuse("log:\n  level: loud\n", "t.yaml:2: log.level: 'loud' is not one of error,warn,info,debug");
    refuse("log:\n  level: error,warn\n", "t.yaml:2: log.level: 'error,warn' is not one of error,warn,info,debug");
    refuse("sensor:\n  name: \"a\\tb\"\n", "t.yaml:2: sensor.name: 'a\\x09b' is not text of at most 63 bytes");
    refuse("sensor:\n  name: 0123456789012345678901234567890123456789012345678901234567890123\n",
           "t.yaml:2: sensor.name: '0123456789012345678901234567890123456789012345678901234567890123' is not text of "
           "at most 63 bytes");
    refuse("capture: 5\n", "t.yaml:1: capture must be a section of 'key: value' lines");
    refuse("- 1\n", "t.yaml:1: the file must be a section of 'key: value' lines");
}
END_TEST

START_TEST(objects_that_contradict_themselves)
{
    refuse("sites:\n  - name: a\n    prefixes: [10.0.0.0/8]\n  - name: b\n    prefixes:\n      - 10.0.0.0/8\n",
           "t.yaml:6: prefix 10.0.0.0/8 already belongs to site 'a' in line 3");
    refuse("sites:\n  - {name: a, prefixes: [10.0.0.0/8]}\n  - {name: a, prefixes: [11.0.0.0/8]}\n",
           "t.yaml:3: 'a' is in sites twice; the first is in line 2");
    refuse(
        "sites:\n  - name: a\n    prefixes: [10.0.0.1/8]\n",
        "t.yaml:3: '10.0.0.1/8' is not a prefix such as 10.1.0.0/16 or 2001:db8::/32 (no bits set behind its length)");
    refuse("sites:\n  - name: a~b\n    prefixes: [10.0.0.0/8]\n",
           "t.yaml:2: the name of a site must not hold '~' or '/': 'a~b'");
    refuse("sites:\n  - name: a\n", "t.yaml:2: an entry of sites lacks its prefixes: list of prefixes: 10.1.0.0/16, "
                                    "2001:db8::/32");
    refuse("sites:\n  - name: a\n    prefixes: []\n",
           "t.yaml:3: prefixes must be a list with at least one entry: [a, b]");
    refuse("sites:\n  - just-a-name\n", "t.yaml:2: an entry of sites has keys: '- name: ...'");
    refuse("sites: x\n", "t.yaml:1: sites is a list: each entry begins with '- name: ...'");
    refuse("sites:\n  - {name: \"a\\tb\", prefixes: [10.0.0.0/8]}\n",
           "t.yaml:2: name holds a control character: 'a\\x09b'");
    refuse("services:\n  - {name: x, endpoints: [443]}\n",
           "t.yaml:2: '443' is not an endpoint such as tcp/443, udp/5000-5010 or tcp/443@10.0.0.0/8");
    refuse("mirrors:\n  - {name: x, device: y, capacity: 10}\n",
           "t.yaml:2: capacity: not a rate such as 100Mbit/s or 2.5Gbit/s");
    refuse("sites:\n  - {name: branch-12, prefixes: [10.0.0.0/8]}\ncircuits:\n  - {id: x, site: branch12}\n",
           "t.yaml:4: there is no site 'branch12' (did you mean 'branch-12'?)");
    refuse("owners:\n  - {kind: site, owner: x}\n", "t.yaml:2: an owner of kind site needs a match");
    refuse("owners:\n  - {kind: default, match: x, owner: x}\n", "t.yaml:2: an owner of kind default takes no match");
    refuse("owners:\n  - {kind: person, owner: x}\n", "t.yaml:2: kind must be site, circuit, service or default");
}
END_TEST

START_TEST(at_most_sixteen_mirrors)
{
    char text[2048] = "mirrors:\n";

    for (int i = 0; i < 17; i++)
        sprintf(text + strlen(text), "  - {name: m%d, device: d}\n", i);
    refuse(text, "t.yaml:18: more than 16 mirrors; run a second sensor");
}
END_TEST

START_TEST(yaml_that_is_refused)
{
    static char big[(1 << 20) + 2], deep[200];
    struct config *c = NULL;
    struct error e;

    refuse("sensor:\n  name: a\nsensor:\n  name: b\n",
           "t.yaml:3: key 'sensor' is here a second time; the first is in line 1");
    refuse("a: &x 1\n", "t.yaml:1: anchors and tags are not supported; write the value out");
    refuse("a: *x\n", "t.yaml:1: aliases are not supported; write the value out");
    refuse("sensor:\n  name: !!str x\n", "t.yaml:2: anchors and tags are not supported; write the value out");
    refuse("sensor: {name: x}\n---\nsensor: {name: y}\n", "t.yaml:3: a second document; only one is allowed");
    refuse("sensor: {name: \"a\\0b\"}\n", "t.yaml:1: a NUL byte in a value");
    refuse("[a]: b\n", "t.yaml:1: a key must be a plain word");
    refuse("a: b: c\n", "t.yaml:1: not valid YAML: mapping values are not allowed in this context");
    memset(deep, '[', sizeof(deep) - 1);
    refuse(deep, "t.yaml:1: nested deeper than 8 levels");
    memset(big, ' ', sizeof(big));
    ck_assert_int_eq(config_parse(big, sizeof(big), "t.yaml", &c, &e), -E2BIG);
    ck_assert_str_eq(e.text, "t.yaml: larger than 1048576 bytes; that is no configuration file");
}
END_TEST

START_TEST(files)
{
    char path[] = "/tmp/spanward-config-XXXXXX", want[128];
    int fd = mkstemp(path);
    struct config *c = NULL;
    struct error e;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "x: 1\n", 5), 5);
    close(fd);
    ck_assert_int_eq(config_load(path, &c, &e), -EINVAL);
    snprintf(want, sizeof(want), "%s:1: unknown key 'x'", path);
    ck_assert_str_eq(e.text, want);
    unlink(path);
    ck_assert_int_eq(config_load(path, &c, &e), -ENOENT);
    snprintf(want, sizeof(want), "%s: cannot open the configuration: No such file or directory", path);
    ck_assert_str_eq(e.text, want);
    ck_assert_int_eq(config_load("/tmp", &c, &e), -EISDIR);
    ck_assert_ptr_null(c);
}
END_TEST

static char changed[256];

static void note_change(void *ctx, const char *name)
{
    (void)ctx;
    snprintf(changed + strlen(changed), sizeof(changed) - strlen(changed), "%s ", name);
}

static const char *changes(const struct config *a, const struct config *b, bool with_lists)
{
    changed[0] = '\0';
    config_changes(a, b, with_lists, note_change, NULL);
    return changed;
}

START_TEST(what_a_reload_cannot_change)
{
    struct config *a = parse("log: {level: info}\nwindow: {length: 10s}\nsites: [{name: x, prefixes: [10.0.0.0/8]}]\n");
    struct config *b = parse("log: {level: debug}\nsites: [{name: x, prefixes: [10.0.0.0/8]}]\n");
    struct config *d = parse("window: {length: 20s}\nsensor: {name: s}\ndetect: {rtt_factor: 5}\n"
                             "sites: [{name: x, prefixes: [10.0.0.0/9]}]\n");

    ck_assert_str_eq(changes(a, b, true), "");
    ck_assert_str_eq(changes(a, d, false), "sensor.name window.length ");
    ck_assert_str_eq(changes(a, d, true), "sensor.name window.length sites ");
    ck_assert_int_eq(config_keep(d, a, NULL), 0);
    ck_assert_str_eq(changes(a, d, false), "");
    ck_assert_uint_eq(config_u64(d, "window.length"), 10000000000);
    ck_assert_str_eq(config_string(d, "sensor.name"), "");
    ck_assert(config_double(d, "detect.rtt_factor") == 5);
    config_free(a);
    config_free(b);
    config_free(d);
}
END_TEST

START_TEST(the_reference_is_complete)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    config_print_reference(f);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "| `capture.workers` | a whole number from 1 to 64 workers | `1` | restart |"));
    ck_assert_ptr_nonnull(strstr(text, "| `log.level` | one of error,warn,info,debug | `info` | yes |"));
    ck_assert_ptr_nonnull(strstr(text, "## circuits"));
    /* Its own example must load. */
    char *start = strstr(text, "```yaml\n") + 8, *end = strstr(start, "```");
    *end = '\0';
    config_free(parse(start));
    free(text);
}
END_TEST

UNIT_MAIN("config", defaults, every_type, lists, unknown_keys_get_a_suggestion, values_out_of_type_or_range,
          objects_that_contradict_themselves, at_most_sixteen_mirrors, yaml_that_is_refused, files,
          what_a_reload_cannot_change, the_reference_is_complete)
