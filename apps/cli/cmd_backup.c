/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * spanward backup and spanward restore: what control knows (incidents, problems, tickets, registers, what it has
 * learnt) as one file, and back. Telemetry is not in it.
 *
 * The file appears under its name when it is whole. A restore looks at the whole file before it changes anything, and
 * then changes all or nothing.
 */

#include "apps/cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "apps/cli/source.h"
#include "common/bytes.h"
#include "common/timefmt.h"
#include "store/backup.h"

#define NAME_BYTES 1100

static const char *shown(char *buf, size_t size, const char *name)
{
    text_escape(buf, size, name, strlen(name));
    return buf;
}

static void tell(const struct backup_summary *b, const char *verb, const char *name)
{
    char safe[512], when[64];

    fprintf(stderr, "%s %s: %llu entries of %s\n", verb, shown(safe, sizeof(safe), name),
            (unsigned long long)b->entries, format_time(when, sizeof(when), b->created_ns, false));
}

/* Nothing is a backup where a control runs that has nothing to keep yet; elsewhere it is the wrong Redis. */
static int check_known(struct store *s, struct error *e)
{
    struct schema_holder holder;
    int result = schema_lease_look(s, SCHEMA_CONTROL, &holder, e);

    if (result != 0 || holder.name[0] != '\0')
        return result;
    return error_set(e, -ENOENT, "no spanward-control runs on this Redis or has stored anything; nothing was written");
}

/* Written beside its place, synced, then renamed; removed when anything fails. */
static int write_file(struct cli *cli, struct store *store, const char *name, struct backup_summary *ret)
{
    char part[NAME_BYTES], safe[512];
    struct error e = {""};

    if (snprintf(part, sizeof(part), "%s.part", name) >= (int)sizeof(part))
        return cli_fail(cli, CLI_ERROR, "the file's name is too long");
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        if (fd >= 0)
            close(fd);
        return cli_fail(cli, CLI_ERROR, "cannot write %s: %s", shown(safe, sizeof(safe), part), strerror(errno));
    }
    int result = backup_write(store, f, wall_now_ns(), ret, &e);
    if (result == 0 && ret->entries == 0)
        result = check_known(store, &e);
    if (result == 0 && fsync(fd) != 0)
        result = error_set(&e, -errno, "cannot write the backup: %s", strerror(errno));
    if (fclose(f) != 0 && result == 0)
        result = error_set(&e, -errno, "cannot write the backup: %s", strerror(errno));
    if (result == 0 && rename(part, name) != 0)
        result = error_set(&e, -errno, "cannot name the backup %.150s: %s", name, strerror(errno));
    if (result == 0)
        return CLI_OK;
    unlink(part);
    return cli_fail(cli, CLI_ERROR, "%s", e.text);
}

static int run_backup(struct cli *cli)
{
    struct backup_summary summary;
    struct source source;
    const char *name = cli->args.rest[0];
    int code = source_open(cli, SOURCE_ENTITIES, &source);

    if (code != CLI_OK)
        return code;
    code = write_file(cli, source.store, name, &summary);
    source_close(&source);
    if (code == CLI_OK)
        tell(&summary, "wrote", name);
    return code;
}

/* The whole file; free it. */
static char *read_file(struct cli *cli, const char *name, size_t *ret_len)
{
    char safe[512];
    struct stat st;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    size_t len = 0;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        cli_fail(cli, CLI_ERROR, "cannot read %s: %s", shown(safe, sizeof(safe), name),
                 fd >= 0 ? "it is no file" : strerror(errno));
    } else if ((uint64_t)st.st_size > BACKUP_MAX_BYTES) {
        cli_fail(cli, CLI_ERROR, "%s is too large for a backup", shown(safe, sizeof(safe), name));
    } else if ((text = malloc((size_t)st.st_size + 1)) != NULL) {
        ssize_t n = 1;
        while (len < (size_t)st.st_size && (n = read(fd, text + len, (size_t)st.st_size - len)) > 0)
            len += (size_t)n;
        if (n < 0) {
            cli_fail(cli, CLI_ERROR, "cannot read %s: %s", shown(safe, sizeof(safe), name), strerror(errno));
            free(text);
            text = NULL;
        }
    } else {
        cli_fail(cli, CLI_ERROR, "no memory for a backup");
    }
    if (fd >= 0)
        close(fd);
    *ret_len = len;
    return text;
}

static int parse_file(struct cli *cli, const char *name, struct backup **ret)
{
    char safe[200];
    struct error e = {""};
    size_t len;
    char *text = read_file(cli, name, &len);

    if (text == NULL)
        return CLI_ERROR;
    int result = backup_parse(text, len, ret, &e);
    free(text);
    if (result == 0)
        return CLI_OK;
    return cli_fail(cli, CLI_ERROR, "%s: %s; nothing was changed", shown(safe, sizeof(safe), name), e.text);
}

/* Control keeps its state in memory, too, and would write it over what is restored. */
static int check_stopped(struct cli *cli, struct store *s)
{
    struct schema_holder holder;
    struct error e = {""};
    char safe[2 * SCHEMA_HOLDER_BYTES];

    if (schema_lease_look(s, SCHEMA_CONTROL, &holder, &e) != 0)
        return cli_fail(cli, CLI_ERROR, "%s; nothing was changed", e.text);
    if (holder.name[0] == '\0')
        return CLI_OK;
    return cli_fail(cli, CLI_ERROR,
                    "spanward-control runs on this Redis (%s): stop it first, or wait %d s if it was killed; nothing "
                    "was changed",
                    shown(safe, sizeof(safe), holder.name), SCHEMA_LEASE_MS / 1000);
}

static int run_restore(struct cli *cli)
{
    struct backup *backup = NULL;
    struct backup_summary summary;
    struct source source;
    struct error e = {""};
    int code = parse_file(cli, cli->args.rest[0], &backup);

    if (code != CLI_OK)
        return code;
    code = source_open(cli, SOURCE_ENTITIES, &source);
    if (code == CLI_OK) {
        code = check_stopped(cli, source.store);
        if (code == CLI_OK && backup_restore(backup, source.store, args_has(&cli->args, "replace"), &e) != 0)
            code = cli_fail(cli, CLI_ERROR, "%s; nothing was changed", e.text);
        source_close(&source);
    }
    backup_summary_get(backup, &summary);
    backup_free(backup);
    if (code == CLI_OK)
        tell(&summary, "restored", cli->args.rest[0]);
    return code;
}

static const struct example backup_examples[] = {
    {"backup control.backup", "what control knows, as one file"},
    {NULL, NULL},
};
const struct command command_backup = {
    .name = "backup",
    .group = "Tools",
    .summary = "what control knows, as one file: incidents, problems, tickets, registers, what it has learnt",
    .usage = "FILE",
    .text =
        "The state of one moment, taken in one transaction while everything runs. Telemetry is not in it: see export.",
    .examples = backup_examples,
    .sets = OPTIONS_STORE,
    .min_rest = 1,
    .max_rest = 1,
    .run = run_backup,
};

static const struct option_def restore_options[] = {
    {"replace", NULL, 0, "put it in the place of the state that is there"},
    {NULL, NULL, 0, NULL},
};
static const struct example restore_examples[] = {
    {"restore control.backup", "into a Redis that control has not used yet"},
    {"restore control.backup --replace", "in the place of what control knows now"},
    {NULL, NULL},
};
const struct command command_restore = {
    .name = "restore",
    .group = "Tools",
    .summary = "puts a backup back, all or nothing",
    .usage = "FILE",
    .text = "Refused while spanward-control runs: it keeps its state in memory, too, and would write it over what was "
            "restored. "
            "The file is checked whole before anything is changed: its version, its checksum, every entry.",
    .examples = restore_examples,
    .sets = OPTIONS_STORE,
    .options = restore_options,
    .min_rest = 1,
    .max_rest = 1,
    .run = run_restore,
};
