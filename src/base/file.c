#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"

typedef struct buffer {
    char *bytes;
    size_t size, capacity;
} buffer;

static void buffer_clear(buffer *b) {
    free(b->bytes);
    *b = (buffer){0};
}

/* Room for at least one more byte and the NUL behind the last one; amortised doubling up to
 * |limit|. */
static bool buffer_extend(buffer *b, size_t hint, size_t limit) {
    size_t wanted = b->capacity < 4096 ? 4096 : b->capacity;
    if (b->capacity && !bfi_mul_size(wanted, 2, &wanted)) return false;
    if (wanted < hint) wanted = hint;
    if (wanted > limit) wanted = limit;
    if (!bfi_add_size(wanted, 2, &wanted)) return false;
    char *grown = realloc(b->bytes, wanted);
    if (!grown) return false;
    b->bytes = grown;
    b->capacity = wanted - 1;
    return true;
}

static bf_status fail_limit(const char *path, size_t limit, bf_error *err) {
    return bfi_fail(err, BF_STATUS_LIMIT, "%s: more than %zu bytes; larger files are not read",
                    path, limit);
}

static bf_status fail_io(const char *path, const char *what, bf_error *err) {
    return bfi_fail(err, BF_STATUS_IO, "%s: cannot %s: %s", path, what, strerror(errno));
}

static size_t size_hint(int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0) return 0;
    return (size_t)info.st_size + 1;
}

static bf_status read_raw(const char *path, size_t limit, buffer *out, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_io(path, "open", err);
    size_t hint = size_hint(fd);
    for (;;) {
        if (out->size == out->capacity && !buffer_extend(out, hint, limit)) {
            status = bfi_fail_memory(err);
            break;
        }
        size_t room = out->capacity - out->size;
        ssize_t got = read(fd, out->bytes + out->size, room < SSIZE_MAX ? room : SSIZE_MAX);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            status = fail_io(path, "read", err);
            break;
        }
        out->size += (size_t)got;
        if (out->size > limit) {
            status = fail_limit(path, limit, err);
            break;
        }
    }
    close(fd);
    return status;
}

static bool is_gzip(const buffer *b) {
    return b->size >= 2 && (unsigned char)b->bytes[0] == 0x1f && (unsigned char)b->bytes[1] == 0x8b;
}

static uInt clip(size_t n) { return n < UINT_MAX ? (uInt)n : UINT_MAX; }

static bool only_zeros(const unsigned char *at, size_t n) {
    while (n && *at == 0) at++, n--;
    return n == 0;
}

/* One step of the stream; *|done| at the end of the last member. */
static bf_status inflate_some(z_stream *z, const char *path, const buffer *packed, buffer *out,
                              bool *done, bf_error *err) {
    const unsigned char *end = (const unsigned char *)packed->bytes + packed->size;
    size_t left = (size_t)(end - z->next_in);
    uInt room = clip(out->capacity - out->size);
    z->avail_in = clip(left);
    z->next_out = (Bytef *)out->bytes + out->size;
    z->avail_out = room;
    int code = inflate(z, Z_NO_FLUSH);
    out->size += room - z->avail_out;
    left = (size_t)(end - z->next_in);
    if (code == Z_STREAM_END) {
        *done = only_zeros(z->next_in, left);
        if (!*done && inflateReset(z) != Z_OK)
            return bfi_fail(err, BF_STATUS_INTERNAL, "%s: zlib refused to reset", path);
        return BF_STATUS_OK;
    }
    if (code == Z_MEM_ERROR) return bfi_fail_memory(err);
    if (code != Z_OK && code != Z_BUF_ERROR)
        return bfi_fail(err, BF_STATUS_PARSE, "%s: damaged gzip stream (%s)", path,
                        z->msg ? z->msg : "unknown reason");
    if (left == 0 && z->avail_out > 0)
        return bfi_fail(err, BF_STATUS_PARSE, "%s: truncated gzip stream; fetch the file again",
                        path);
    return BF_STATUS_OK;
}

static bf_status unpack(const char *path, size_t limit, const buffer *packed, buffer *out,
                        bf_error *err) {
    z_stream z = {0};
    if (inflateInit2(&z, 15 + 16) != Z_OK) return bfi_fail_memory(err);
    z.next_in = (Bytef *)packed->bytes;
    size_t hint = packed->size < SIZE_MAX / 8 ? packed->size * 8 : 0;
    bf_status status = BF_STATUS_OK;
    bool done = false;
    while (!done && status == BF_STATUS_OK) {
        if (out->size == out->capacity && !buffer_extend(out, hint, limit))
            status = bfi_fail_memory(err);
        else
            status = inflate_some(&z, path, packed, out, &done, err);
        if (status == BF_STATUS_OK && out->size > limit) status = fail_limit(path, limit, err);
    }
    inflateEnd(&z);
    return status;
}

bf_status bfi_file_read(const char *path, size_t limit, char **data, size_t *size, bf_error *err) {
    buffer raw = {0}, plain = {0};
    bf_status status = read_raw(path, limit, &raw, err);
    if (status == BF_STATUS_OK && is_gzip(&raw)) {
        status = unpack(path, limit, &raw, &plain, err);
        buffer_clear(&raw);
        raw = plain;
    }
    if (status != BF_STATUS_OK) {
        buffer_clear(&raw);
        return status;
    }
    raw.bytes[raw.size] = '\0';
    *data = raw.bytes;
    *size = raw.size;
    return BF_STATUS_OK;
}

/* Writes and closes |fd|. */
static bool write_all(int fd, const char *at, size_t size) {
    bool ok = true;
    while (ok && size) {
        ssize_t put = write(fd, at, size < SSIZE_MAX ? size : SSIZE_MAX);
        if (put < 0 && errno == EINTR) continue;
        ok = put > 0;
        if (ok) {
            at += put;
            size -= (size_t)put;
        }
    }
    int saved = errno;
    bool closed = close(fd) == 0;
    if (!ok) errno = saved;
    return ok && closed;
}

static bf_status write_through(const char *path, const void *data, size_t size, bf_error *err) {
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0 || !write_all(fd, data, size)) return fail_io(path, "write", err);
    return BF_STATUS_OK;
}

int bfi_file_beside(const char *path, char *temporary, size_t length) {
    for (int attempt = 0; attempt < 100; attempt++) {
        snprintf(temporary, length, "%s.%ld-%d.tmp", path, (long)getpid(), attempt);
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

bf_status bfi_file_write(const char *path, const void *data, size_t size, bf_error *err) {
    struct stat info;
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
        return write_through(path, data, size, err);

    size_t length = strlen(path) + BFI_FILE_BESIDE;
    char *temporary = bfi_malloc(length, 1);
    if (!temporary) return bfi_fail_memory(err);
    bf_status status = BF_STATUS_OK;
    int fd = bfi_file_beside(path, temporary, length);
    if (fd < 0) {
        status = fail_io(path, "write", err);
    } else if (!write_all(fd, data, size) || rename(temporary, path) != 0) {
        status = fail_io(path, "write", err);
        unlink(temporary);
    }
    free(temporary);
    return status;
}
