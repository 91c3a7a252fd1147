/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Runs a fuzz target over files instead of over mutations: every regular file of the folders and files given, in the
 * order of their names, each once, plus the empty input. So the corpora, and every input that ever made a target
 * fail, are tests under any compiler and sanitizer. A file that cannot be read, or a corpus without files, is a
 * failure.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, off_t size)
{
    /* Exactly as large as the input, so that ASan sees a read past its end. */
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    FILE *f = fopen(path, "rb");
    int r = -1;

    if (data != NULL && f != NULL && fread(data, 1, (size_t)size, f) == (size_t)size) {
        fprintf(stderr, "%s\n", path);
        LLVMFuzzerTestOneInput(data, (size_t)size);
        r = 0;
    } else {
        perror(path);
    }
    if (f != NULL)
        fclose(f);
    free(data);
    return r;
}

static int replay_path(const char *path, unsigned *n_files)
{
    struct dirent **entries;
    struct stat st;
    int r = 0;

    if (stat(path, &st) < 0) {
        perror(path);
        return -1;
    }
    if (S_ISREG(st.st_mode)) {
        (*n_files)++;
        return replay_file(path, st.st_size);
    }
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char inner[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name);
            r |= replay_path(inner, n_files);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];
    unsigned n_files = 0;
    int r = 0;

    LLVMFuzzerTestOneInput(nothing, 0);
    for (int i = 1; i < argc; i++)
        r |= replay_path(argv[i], &n_files);
    printf("%u inputs replayed\n", n_files);
    return r != 0 || n_files == 0;
}
