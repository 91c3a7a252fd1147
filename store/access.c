/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See access.h. Passwords come from files or the environment and never from an option, because everybody on the machine
 * sees argument lists. A file that others can read is refused: whoever can read it can write to the store.
 */

#include "store/access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* NULL for "". */
static const char *text_of(const struct config *c, const char *name)
{
    const char *text = config_string(c, name);

    return *text != '\0' ? text : NULL;
}

static int read_first_line(const char *name, const char *path, char *ret, size_t size, struct error *e)
{
    struct stat st;
    FILE *f = fopen(path, "re");

    if (f == NULL || fstat(fileno(f), &st) != 0) {
        int code = error_set(e, -errno, "cannot read %s %.120s: %s", name, path, strerror(errno));
        if (f != NULL)
            fclose(f);
        return code;
    }
    if ((st.st_mode & S_IFMT) == S_IFREG && (st.st_mode & S_IRWXO) != 0) {
        fclose(f);
        return error_set(e, -EPERM, "%s %.100s is open to everybody; chmod o= %.60s", name, path, path);
    }
    bool got = fgets(ret, (int)size, f) != NULL;
    fclose(f);
    size_t len = got ? strcspn(ret, "\r\n") : 0;
    if (len == 0)
        return error_set(e, -EINVAL, "%s %.120s: its first line is empty", name, path);
    if (len == size - 1)
        return error_set(e, -EINVAL, "%s %.120s: the password is longer than %zu bytes", name, path, size - 2);
    ret[len] = '\0';
    return 0;
}

/* ret is "" when there is none. */
static int read_password(const struct config *c, const char *name, const char *variable, char *ret, size_t size,
                         struct error *e)
{
    const char *path = text_of(c, name), *set = getenv(variable);

    ret[0] = '\0';
    if (path != NULL)
        return read_first_line(name, path, ret, size, e);
    if (set != NULL && snprintf(ret, size, "%s", set) >= (int)size)
        return error_set(e, -EINVAL, "%s is longer than %zu bytes", variable, size - 1);
    return 0;
}

int store_access_load(const struct config *c, struct store_access *ret_access, struct error *e)
{
    struct store_access *a = ret_access;
    int result =
        read_password(c, "store.password_file", "SPANWARD_REDIS_PASSWORD", a->password, sizeof(a->password), e);

    if (result == 0)
        result = read_password(c, "store.sentinel_password_file", "SPANWARD_SENTINEL_PASSWORD", a->sentinel_password,
                               sizeof(a->sentinel_password), e);
    if (result != 0) {
        store_access_fini(a);
        return result;
    }
    a->options = (struct store_options){
        .user = text_of(c, "store.user"),
        .password = a->password[0] != '\0' ? a->password : NULL,
        .sentinel_user = text_of(c, "store.sentinel_user"),
        .sentinel_password = a->sentinel_password[0] != '\0' ? a->sentinel_password : NULL,
        .tls_ca = text_of(c, "store.tls_ca"),
        .tls_cert = text_of(c, "store.tls_cert"),
        .tls_key = text_of(c, "store.tls_key"),
        .tls_name = text_of(c, "store.tls_name"),
        .tls_no_verify = !config_bool(c, "store.tls_verify"),
    };
    return 0;
}

void store_access_fini(struct store_access *a)
{
    explicit_bzero(a->password, sizeof(a->password));
    explicit_bzero(a->sentinel_password, sizeof(a->sentinel_password));
}
