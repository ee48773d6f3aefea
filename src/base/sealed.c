#include "base/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/blake2b.h"
#include "base/file.h"

enum { MAGIC = 8, ROOM = 1 << 16, SEAL = 8 + (int)sizeof(bfi_digest) };

struct bfi_sealed_writer {
    int fd, error; /* errno of the first failure */
    char *path, *temporary;
    bfi_blake2b hash;
    int64_t length;
    size_t used;
    unsigned char buffer[ROOM];
};

struct bfi_sealed_reader {
    FILE *file;
    int64_t left;
};

static void to_bytes(uint64_t value, unsigned char *bytes) {
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t from_bytes(const unsigned char *bytes) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static void flush(bfi_sealed_writer *w) {
    for (size_t at = 0; at < w->used && !w->error;) {
        ssize_t put = write(w->fd, w->buffer + at, w->used - at);
        if (put >= 0)
            at += (size_t)put;
        else if (errno != EINTR)
            w->error = errno;
    }
    w->used = 0;
}

static void append(bfi_sealed_writer *w, const void *data, size_t size) {
    const char *from = data;
    for (size_t some; size > 0; from += some, size -= some) {
        some = size < ROOM - w->used ? size : ROOM - w->used;
        memcpy(w->buffer + w->used, from, some);
        w->used += some;
        if (w->used == ROOM) flush(w);
    }
}

void bfi_sealed_put(bfi_sealed_writer *w, const void *data, size_t size) {
    bfi_blake2b_add(&w->hash, data, size);
    append(w, data, size);
    w->length += (int64_t)size;
}

void bfi_sealed_put_integer(bfi_sealed_writer *w, int64_t value) {
    unsigned char bytes[8];
    to_bytes((uint64_t)value, bytes);
    bfi_sealed_put(w, bytes, sizeof bytes);
}

void bfi_sealed_put_double(bfi_sealed_writer *w, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bfi_sealed_put_integer(w, (int64_t)bits);
}

bf_status bfi_sealed_create(const char *path, const char *magic, bfi_sealed_writer **out,
                            bf_error *err) {
    bfi_sealed_writer *w = bfi_calloc(1, sizeof *w);
    size_t length = strlen(path) + BFI_FILE_BESIDE;
    if (!w) return bfi_fail_memory(err);
    w->fd = -1;
    w->path = bfi_strdup(path);
    w->temporary = bfi_calloc(length, 1);
    if (!w->path || !w->temporary) {
        bfi_sealed_discard(w);
        return bfi_fail_memory(err);
    }
    w->fd = bfi_file_beside(path, w->temporary, length);
    if (w->fd < 0) {
        int error = errno;
        w->temporary[0] = '\0';
        bfi_sealed_discard(w);
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", path, strerror(error));
    }
    bfi_blake2b_start(&w->hash, sizeof(bfi_digest));
    bfi_sealed_put(w, magic, MAGIC);
    *out = w;
    return BF_STATUS_OK;
}

void bfi_sealed_discard(bfi_sealed_writer *w) {
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (w->temporary && w->temporary[0]) unlink(w->temporary);
    free(w->path);
    free(w->temporary);
    free(w);
}

/* Has the folder of |path| remember its new entry. */
static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? bfi_strndup(path, (size_t)(slash - path) + 1) : bfi_strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

bf_status bfi_sealed_commit(bfi_sealed_writer *w, int64_t *bytes, bf_error *err) {
    unsigned char length[8];
    bf_status status = BF_STATUS_OK;
    to_bytes((uint64_t)w->length, length);
    bfi_blake2b_add(&w->hash, length, sizeof length);
    bfi_digest digest = bfi_blake2b_digest(&w->hash);
    append(w, length, sizeof length);
    append(w, digest.bytes, sizeof digest.bytes);
    flush(w);
    if (!w->error && fsync(w->fd) != 0) w->error = errno;
    if (close(w->fd) != 0 && !w->error) w->error = errno;
    w->fd = -1;
    if (!w->error && rename(w->temporary, w->path) != 0) w->error = errno;
    if (w->error) {
        status =
            bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", w->path, strerror(w->error));
    } else {
        w->temporary[0] = '\0';
        sync_folder(w->path);
        *bytes = w->length + SEAL;
    }
    bfi_sealed_discard(w);
    return status;
}

static bool read_hashed(FILE *file, bfi_blake2b *hash, int64_t size) {
    unsigned char buffer[ROOM];
    while (size > 0) {
        size_t some = size < ROOM ? (size_t)size : ROOM;
        if (fread(buffer, 1, some, file) != some) return false;
        bfi_blake2b_add(hash, buffer, some);
        size -= (int64_t)some;
    }
    return true;
}

/* Checks magic and seal, and goes back to what stands behind the magic. */
static bf_status check(bfi_sealed_reader *r, const char *path, const char *magic, bf_error *err) {
    struct stat info;
    char start[MAGIC];
    unsigned char seal[SEAL];
    bfi_blake2b hash;
    if (fstat(fileno(r->file), &info) != 0 || !S_ISREG(info.st_mode))
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot be read: it is no regular file", path);
    int64_t length = (int64_t)info.st_size - SEAL;
    if (fread(start, 1, MAGIC, r->file) != MAGIC || memcmp(start, magic, MAGIC) != 0)
        return bfi_fail(err, BF_STATUS_PARSE, "%s: this is no such file: it does not begin with %s",
                        path, magic);
    bfi_blake2b_start(&hash, sizeof(bfi_digest));
    bool whole = length >= MAGIC && fseeko(r->file, 0, SEEK_SET) == 0 &&
                 read_hashed(r->file, &hash, length) && fread(seal, 1, SEAL, r->file) == SEAL;
    if (whole) {
        bfi_blake2b_add(&hash, seal, 8);
        bfi_digest digest = bfi_blake2b_digest(&hash);
        whole = from_bytes(seal) == (uint64_t)length &&
                memcmp(digest.bytes, seal + 8, sizeof digest.bytes) == 0;
    }
    if (!whole)
        return bfi_fail(err, BF_STATUS_PARSE,
                        "%s: damaged or cut off: its seal does not fit what it holds", path);
    r->left = length - MAGIC;
    return fseeko(r->file, MAGIC, SEEK_SET) == 0
               ? BF_STATUS_OK
               : bfi_fail(err, BF_STATUS_IO, "%s: cannot be read: %s", path, strerror(errno));
}

bf_status bfi_sealed_open(const char *path, const char *magic, bfi_sealed_reader **out,
                          bf_error *err) {
    bfi_sealed_reader *r = bfi_calloc(1, sizeof *r);
    if (!r) return bfi_fail_memory(err);
    r->file = fopen(path, "rbe");
    bf_status status =
        r->file ? check(r, path, magic, err)
                : bfi_fail(err, BF_STATUS_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (status != BF_STATUS_OK) {
        bfi_sealed_close(r);
        return status;
    }
    *out = r;
    return BF_STATUS_OK;
}

void bfi_sealed_close(bfi_sealed_reader *r) {
    if (!r) return;
    if (r->file) fclose(r->file);
    free(r);
}

bool bfi_sealed_get(bfi_sealed_reader *r, void *data, size_t size) {
    if ((uint64_t)size > (uint64_t)r->left || fread(data, 1, size, r->file) != size) return false;
    r->left -= (int64_t)size;
    return true;
}

bool bfi_sealed_get_integer(bfi_sealed_reader *r, int64_t *value) {
    unsigned char bytes[8];
    if (!bfi_sealed_get(r, bytes, sizeof bytes)) return false;
    *value = (int64_t)from_bytes(bytes);
    return true;
}

bool bfi_sealed_get_double(bfi_sealed_reader *r, double *value) {
    int64_t bits;
    if (!bfi_sealed_get_integer(r, &bits)) return false;
    memcpy(value, &bits, sizeof bits);
    return true;
}

int64_t bfi_sealed_left(const bfi_sealed_reader *r) { return r->left; }
