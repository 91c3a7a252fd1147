/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See backup.h. Reading and writing each are one MULTI: a state that control changes meanwhile is taken before or after
 * the change, never across it. Keys are found by SCAN first; one that appears after that is of a later moment.
 *
 * Texts are JSON strings; what is no UTF-8, or holds a NUL, is written in hex.
 */

#include "store/backup.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include "store/entities.h"

#define PREFIX       "sw1:{ctl}:"
#define PREFIX_BYTES (sizeof(PREFIX) - 1)
#define KEYS_MAX     65536
#define SHA_HEX      65
#define ARG(text)                                                                                                      \
    {                                                                                                                  \
        text, strlen(text)                                                                                             \
    }

/* Keys of PREFIX whose content is no state. */
static const char *const transient[] = {"inbox", "lease"};

struct entry {
    char *key;   /* without the prefix */
    char *field; /* NULL: the key is a string */
    void *data;
    size_t len;
};

struct backup {
    struct entry *at;
    size_t n, size;
    struct backup_summary summary;
};

/* ---- entries ---- */

static void entry_fini(struct entry *x)
{
    free(x->key);
    free(x->field);
    free(x->data);
}

void backup_free(struct backup *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->n; i++)
        entry_fini(&b->at[i]);
    free(b->at);
    free(b);
}

void backup_summary_get(const struct backup *b, struct backup_summary *ret)
{
    *ret = b->summary;
}

/* Takes copies. field may be NULL. */
static int add_entry(struct backup *b, const char *key, const char *field, const void *data, size_t len)
{
    if (b->n == b->size) {
        size_t size = b->size != 0 ? 2 * b->size : 256;
        struct entry *at = realloc(b->at, size * sizeof(*at));
        if (at == NULL)
            return -ENOMEM;
        b->at = at;
        b->size = size;
    }
    struct entry x = {.key = strdup(key), .field = field != NULL ? strdup(field) : NULL, .data = malloc(len + 1)};
    if (x.key == NULL || (field != NULL && x.field == NULL) || x.data == NULL) {
        entry_fini(&x);
        return -ENOMEM;
    }
    memcpy(x.data, data, len);
    x.len = len;
    b->at[b->n++] = x;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);

    return order != 0 ? order : strcmp(x->field != NULL ? x->field : "", y->field != NULL ? y->field : "");
}

static void summarise(struct backup *b)
{
    if (b->n != 0)
        qsort(b->at, b->n, sizeof(*b->at), compare_entries);
    b->summary.entries = b->n;
    b->summary.keys = 0;
    for (size_t i = 0; i < b->n; i++)
        b->summary.keys += i == 0 || strcmp(b->at[i].key, b->at[i - 1].key) != 0;
}

/* ---- from the store ---- */

struct keys {
    char **name; /* with the prefix */
    bool *is_hash;
    size_t n, size;
};

static void keys_fini(struct keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->name[i]);
    free(k->name);
    free(k->is_hash);
}

static int lost(struct error *e)
{
    return error_set(e, -EIO, "the connection to Redis broke; try again");
}

/* The reply, which the caller frees; NULL with the reason in e when it is an error. */
static struct store_reply *ask(struct store *s, const struct store_arg *args, size_t n, int *ret, struct error *e)
{
    struct store_reply *r = store_command_argv(s, args, n);

    *ret = 0;
    if (r == NULL) {
        *ret = lost(e);
    } else if (store_reply_type(r) == STORE_ERROR) {
        *ret = error_set(e, -EPROTO, "Redis refused: %.150s", store_reply_string(r, NULL));
        store_reply_free(r);
        r = NULL;
    }
    return r;
}

static bool is_transient(const char *key)
{
    for (size_t i = 0; i < sizeof(transient) / sizeof(transient[0]); i++)
        if (strcmp(key + PREFIX_BYTES, transient[i]) == 0)
            return true;
    return false;
}

/* Adds a key once, if it is a hash or a string. */
static int add_key(struct store *s, struct keys *k, const char *name, struct error *e)
{
    int result;

    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->name[i], name) == 0)
            return 0;
    struct store_reply *r = ask(s, (struct store_arg[]){ARG("TYPE"), ARG(name)}, 2, &result, e);
    if (r == NULL)
        return result;
    bool is_hash = strcmp(store_reply_string(r, NULL), "hash") == 0;
    bool is_string = strcmp(store_reply_string(r, NULL), "string") == 0;
    store_reply_free(r);
    if (!is_hash && !is_string)
        return 0;
    if (k->n == k->size) {
        size_t size = k->size != 0 ? 2 * k->size : 64;
        char **names = realloc(k->name, size * sizeof(*names));
        k->name = names != NULL ? names : k->name;
        bool *hashes = realloc(k->is_hash, size * sizeof(*hashes));
        k->is_hash = hashes != NULL ? hashes : k->is_hash;
        if (names == NULL || hashes == NULL || size > KEYS_MAX)
            return error_set(e, -ENOMEM, "too many keys for a backup");
        k->size = size;
    }
    k->is_hash[k->n] = is_hash;
    k->name[k->n] = strdup(name);
    return k->name[k->n] != NULL ? (k->n++, 0) : error_set(e, -ENOMEM, "no memory for a backup");
}

static int find_keys(struct store *s, struct keys *k, struct error *e)
{
    char cursor[32] = "0";
    int result = 0;

    do {
        struct store_reply *r = ask(
            s, (struct store_arg[]){ARG("SCAN"), ARG(cursor), ARG("MATCH"), ARG(PREFIX "*"), ARG("COUNT"), ARG("1000")},
            6, &result, e);
        if (r == NULL)
            return result;
        if (store_reply_count(r) != 2) {
            store_reply_free(r);
            return error_set(e, -EPROTO, "unexpected reply to SCAN");
        }
        const struct store_reply *found = store_reply_element(r, 1);
        for (size_t i = 0; i < store_reply_count(found) && result == 0; i++) {
            const char *name = store_reply_string(store_reply_element(found, i), NULL);
            if (strncmp(name, PREFIX, PREFIX_BYTES) == 0 && !is_transient(name))
                result = add_key(s, k, name, e);
        }
        snprintf(cursor, sizeof(cursor), "%.31s", store_reply_string(store_reply_element(r, 0), NULL));
        store_reply_free(r);
    } while (result == 0 && strcmp(cursor, "0") != 0);
    return result;
}

/* What EXEC answers: the content of every key in the order of `keys`. */
struct snapshot {
    const struct keys *keys;
    struct backup *b;
    size_t n_commands;
    int result;
    bool done;
    struct error error;
};

static int take_key(struct backup *b, const char *key, bool is_hash, const struct store_reply *r)
{
    size_t len;
    int result = 0;

    if (!is_hash) {
        const char *data = store_reply_string(r, &len);
        return store_reply_type(r) == STORE_STRING ? add_entry(b, key, NULL, data, len) : 0;
    }
    for (size_t i = 0; i + 1 < store_reply_count(r) && result == 0; i += 2) {
        const char *field = store_reply_string(store_reply_element(r, i), NULL);
        const char *data = store_reply_string(store_reply_element(r, i + 1), &len);
        result = add_entry(b, key, field, data, len);
    }
    return result;
}

static void on_snapshot(void *ctx, size_t index, const struct store_reply *r)
{
    struct snapshot *x = ctx;

    if (store_reply_type(r) == STORE_ERROR && x->error.text[0] == '\0')
        error_set(&x->error, -EPROTO, "Redis refused: %.150s", store_reply_string(r, NULL));
    if (index != x->n_commands + 1 || store_reply_type(r) != STORE_ARRAY)
        return;
    x->done = store_reply_count(r) == x->n_commands;
    for (size_t i = 0; x->done && x->b != NULL && i < x->n_commands && x->result == 0; i++)
        x->result = take_key(x->b, x->keys->name[i] + PREFIX_BYTES, x->keys->is_hash[i], store_reply_element(r, i));
    for (size_t i = 0; i < store_reply_count(r); i++)
        if (store_reply_type(store_reply_element(r, i)) == STORE_ERROR && x->error.text[0] == '\0')
            error_set(&x->error, -EPROTO, "Redis refused: %.150s", store_reply_string(store_reply_element(r, i), NULL));
}

/* Sends EXEC behind x->n_commands that were appended (result: of that), and judges the answer. */
static int execute(struct store *s, struct snapshot *x, int result, struct error *e)
{
    if (result == 0)
        result = store_append(s, (struct store_arg[]){ARG("EXEC")}, 1);
    if (result != 0) {
        store_discard(s);
        return error_set(e, result, "no memory for a transaction");
    }
    if (store_flush(s, on_snapshot, x) != 0)
        return lost(e);
    if (x->error.text[0] != '\0')
        return error_set(e, -EPROTO, "%s", x->error.text);
    if (x->result != 0)
        return error_set(e, x->result, "no memory for a backup");
    return x->done ? 0 : error_set(e, -EIO, "Redis did not carry the transaction out");
}

static int read_state(struct store *s, struct backup *b, struct error *e)
{
    struct keys keys = {.n = 0};
    int result = find_keys(s, &keys, e);
    struct snapshot x = {.keys = &keys, .b = b, .n_commands = keys.n};

    if (result == 0 && keys.n != 0) {
        int appended = store_append(s, (struct store_arg[]){ARG("MULTI")}, 1);
        for (size_t i = 0; i < keys.n && appended == 0; i++)
            appended =
                store_append(s, (struct store_arg[]){ARG(keys.is_hash[i] ? "HGETALL" : "GET"), ARG(keys.name[i])}, 2);
        result = execute(s, &x, appended, e);
    }
    keys_fini(&keys);
    summarise(b);
    return result;
}

/* ---- the file ---- */

struct writer {
    FILE *out;
    EVP_MD_CTX *sha;
    uint64_t bytes;
    int result;
};

static void put_line(struct writer *w, json_t *line)
{
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;

    json_decref(line);
    if (text == NULL) {
        w->result = -ENOMEM;
        return;
    }
    size_t len = strlen(text);
    if (fwrite(text, 1, len, w->out) != len || fputc('\n', w->out) == EOF)
        w->result = errno != 0 ? -errno : -EIO;
    EVP_DigestUpdate(w->sha, text, len);
    EVP_DigestUpdate(w->sha, "\n", 1);
    w->bytes += len + 1;
    free(text);
}

static json_t *hex_of(const unsigned char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * len + 1);

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    json_t *v = json_stringn(text, 2 * len);
    free(text);
    return v;
}

static json_t *line_of(const struct entry *x)
{
    json_t *line = json_object();
    json_t *text = memchr(x->data, 0, x->len) == NULL ? json_stringn(x->data, x->len) : NULL;

    json_object_set_new(line, "key", json_string(x->key));
    if (x->field != NULL)
        json_object_set_new(line, "field", json_string(x->field));
    if (text != NULL)
        json_object_set_new(line, "text", text);
    else
        json_object_set_new(line, "hex", hex_of(x->data, x->len));
    return line;
}

static void finish_sha(EVP_MD_CTX *sha, char ret_hex[SHA_HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    EVP_DigestFinal_ex(sha, digest, &n);
    for (unsigned i = 0; i < n && i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

int backup_write(struct store *s, FILE *out, uint64_t now_ns, struct backup_summary *ret, struct error *e)
{
    struct backup *b = calloc(1, sizeof(*b));
    struct writer w = {.out = out, .sha = EVP_MD_CTX_new()};
    char sha[SHA_HEX] = "";
    int result = 0;

    if (b == NULL || w.sha == NULL || EVP_DigestInit_ex(w.sha, EVP_sha256(), NULL) != 1)
        result = error_set(e, -ENOMEM, "no memory for a backup");
    if (result == 0)
        result = read_state(s, b, e);
    if (result == 0) {
        put_line(&w, json_pack("{s:i,s:I}", "spanward_backup", BACKUP_VERSION, "created_ns", (json_int_t)now_ns));
        for (size_t i = 0; i < b->n && w.result == 0; i++)
            put_line(&w, line_of(&b->at[i]));
        finish_sha(w.sha, sha);
        EVP_DigestInit_ex(w.sha, EVP_sha256(), NULL);
        put_line(&w, json_pack("{s:I,s:s}", "entries", (json_int_t)b->n, "sha256", sha));
        if (w.result == 0 && fflush(out) != 0)
            w.result = -errno;
        if (w.result != 0)
            result = error_set(e, w.result, "cannot write the backup: %s", strerror(-w.result));
    }
    if (result == 0) {
        *ret = b->summary;
        ret->created_ns = now_ns;
        ret->bytes = w.bytes;
    }
    EVP_MD_CTX_free(w.sha);
    backup_free(b);
    return result;
}

/* ---- reading ---- */

static int from_hex(const char *hex, size_t len, unsigned char **ret)
{
    unsigned char *data = len % 2 == 0 ? malloc(len / 2 + 1) : NULL;

    for (size_t i = 0; data != NULL && i < len; i++) {
        char c = hex[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) {
            free(data);
            return -EBADMSG;
        }
        data[i / 2] = (unsigned char)(i % 2 == 0 ? v << 4 : data[i / 2] | v);
    }
    *ret = data;
    return data != NULL ? 0 : -EBADMSG;
}

static bool is_key(const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)key[i] <= ' ' || strchr("{}*?[]\\", key[i]) != NULL)
            return false;
    return len > 0 && len < 300;
}

/* An entity that this release knows must decode; other keys are taken as they are. */
static int check_entity(const char *key, bool has_field, const void *data, size_t len, struct error *e)
{
#define X(symbol, name) name,
    static const char *const names[] = { ENTITY_KINDS(X) };
#undef X
    for (unsigned k = 0; k < ENTITY_KIND_COUNT; k++) {
        if (strcmp(key, names[k]) != 0)
            continue;
        if (has_field != (k != ENTITY_META))
            return error_set(e, -EBADMSG, "it is not stored like that");
        void *entity = malloc(entity_size(k));
        int result = entity != NULL ? entity_decode(k, data, len, entity, e) : error_set(e, -ENOMEM, "no memory");
        free(entity);
        return result;
    }
    return 0;
}

static int take_line(struct backup *b, const json_t *line, struct error *e)
{
    const char *key = json_string_value(json_object_get(line, "key"));
    const json_t *text = json_object_get(line, "text"), *hex = json_object_get(line, "hex");
    const json_t *field = json_object_get(line, "field");
    unsigned char *bytes = NULL;

    if (key == NULL || !is_key(key) || (field != NULL && !json_is_string(field)) ||
        json_is_string(text) == json_is_string(hex))
        return error_set(e, -EBADMSG, "an entry lacks its key or its value");
    if (hex != NULL && from_hex(json_string_value(hex), json_string_length(hex), &bytes) != 0)
        return error_set(e, -EBADMSG, "a value is not in hex");
    const void *data = hex != NULL ? (const void *)bytes : json_string_value(text);
    size_t len = hex != NULL ? json_string_length(hex) / 2 : json_string_length(text);
    int result = check_entity(key, field != NULL, data, len, e);
    if (result == 0 && add_entry(b, key, json_string_value(field), data, len) != 0)
        result = error_set(e, -ENOMEM, "no memory for a backup");
    free(bytes);
    return result;
}

static int take_head(struct backup *b, const json_t *line, struct error *e)
{
    const json_t *version = json_object_get(line, "spanward_backup");

    if (!json_is_integer(version))
        return error_set(e, -EBADMSG, "this is no backup of spanward");
    if (json_integer_value(version) != BACKUP_VERSION)
        return error_set(e, -EPROTO, "the backup is of version %lld, this program reads version %d",
                         (long long)json_integer_value(version), BACKUP_VERSION);
    b->summary.created_ns = (uint64_t)json_integer_value(json_object_get(line, "created_ns"));
    return 0;
}

static int take_tail(const struct backup *b, const json_t *line, const char sha[SHA_HEX], struct error *e)
{
    const char *want = json_string_value(json_object_get(line, "sha256"));

    if (want == NULL)
        return error_set(e, -EBADMSG, "the backup is cut: its last line is missing");
    if (strcmp(want, sha) != 0)
        return error_set(e, -EBADMSG, "the backup is damaged: its checksum is wrong");
    if (json_integer_value(json_object_get(line, "entries")) != (json_int_t)b->n)
        return error_set(e, -EBADMSG, "the backup is damaged: entries are missing");
    return 0;
}

/* Where the last line begins. */
static const char *last_line(const char *text, size_t len)
{
    size_t at = len > 0 && text[len - 1] == '\n' ? len - 1 : len;

    while (at > 0 && text[at - 1] != '\n')
        at--;
    return text + at;
}

static int parse_lines(struct backup *b, const char *text, size_t len, const char sha[SHA_HEX], struct error *e)
{
    const char *end = text + len, *tail = last_line(text, len);
    int result = 0;

    for (unsigned n = 1; text < end && result == 0; n++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t line_len = stop != NULL ? (size_t)(stop - text) : (size_t)(end - text);
        json_t *line = json_loadb(text, line_len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
        struct error why = {""};
        if (!json_is_object(line))
            result = error_set(&why, -EBADMSG, n == 1 ? "this is no backup of spanward" : "no JSON object");
        else if (n == 1)
            result = take_head(b, line, &why);
        else if (text == tail)
            result = take_tail(b, line, sha, &why);
        else
            result = take_line(b, line, &why);
        json_decref(line);
        if (result != 0)
            error_set(e, result, "line %u: %.230s", n, why.text);
        text += line_len + 1;
    }
    return result;
}

int backup_parse(const char *text, size_t len, struct backup **ret, struct error *e)
{
    struct backup *b = calloc(1, sizeof(*b));
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    char hex[SHA_HEX] = "";
    int result = 0;

    if (b == NULL || sha == NULL || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1) {
        result = error_set(e, -ENOMEM, "no memory for a backup");
    } else if (len == 0 || last_line(text, len) == text) {
        result = error_set(e, -EBADMSG, "this is no backup of spanward, or it is cut");
    } else {
        EVP_DigestUpdate(sha, text, (size_t)(last_line(text, len) - text));
        finish_sha(sha, hex);
        result = parse_lines(b, text, len, hex, e);
    }
    EVP_MD_CTX_free(sha);
    if (result != 0) {
        backup_free(b);
        return result;
    }
    summarise(b);
    b->summary.bytes = len;
    *ret = b;
    return 0;
}

/* ---- back into the store ---- */

static int append_entries(struct store *s, const struct backup *b, size_t *n_commands)
{
    char key[400];
    int result = 0;

    for (size_t i = 0; i < b->n && result == 0; i++, (*n_commands)++) {
        const struct entry *x = &b->at[i];
        snprintf(key, sizeof(key), PREFIX "%s", x->key);
        if (x->field == NULL)
            result = store_append(s, (struct store_arg[]){ARG("SET"), ARG(key), {x->data, x->len}}, 3);
        else
            result = store_append(s, (struct store_arg[]){ARG("HSET"), ARG(key), ARG(x->field), {x->data, x->len}}, 4);
    }
    return result;
}

int backup_restore(const struct backup *b, struct store *s, bool replace, struct error *e)
{
    struct keys keys = {.n = 0};
    struct snapshot x = {.keys = &keys};
    int result = find_keys(s, &keys, e);

    if (result == 0 && keys.n != 0 && !replace)
        result =
            error_set(e, -EEXIST, "this Redis has a state of control already; --replace puts the backup in its place");
    if (result == 0) {
        int appended = store_append(s, (struct store_arg[]){ARG("MULTI")}, 1);
        for (size_t i = 0; i < keys.n && appended == 0; i++, x.n_commands++)
            appended = store_append(s, (struct store_arg[]){ARG("DEL"), ARG(keys.name[i])}, 2);
        if (appended == 0)
            appended = append_entries(s, b, &x.n_commands);
        result = execute(s, &x, appended, e);
    }
    keys_fini(&keys);
    return result;
}
