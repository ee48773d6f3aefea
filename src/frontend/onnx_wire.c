/* Walks the wire format before protobuf-c does. protobuf-c recurses once per nested message and
 * makes a struct for each, so a small hostile file could exhaust the stack or the memory; the walk
 * uses the message descriptors with a stack of its own and limits both. */
#include "base/alloc.h"
#include "frontend/onnx_import.h"

enum {
    MAX_DEPTH = 32, /* Model > Graph > Node > Attribute > Tensor is 5 */
    MAX_MESSAGES = 1 << 22
};

typedef struct cursor {
    const uint8_t *at;
} cursor;

typedef struct frame {
    const uint8_t *end;
    const ProtobufCMessageDescriptor *type;
} frame;

static bool read_varint(cursor *c, const uint8_t *end, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 64 && c->at < end; shift += 7) {
        uint8_t byte = *c->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

static bool skip_bytes(cursor *c, const uint8_t *end, uint64_t count) {
    if (count > (uint64_t)(end - c->at)) return false;
    c->at += count;
    return true;
}

/* Steps over one field of a message ending at |end|; for a nested message only over its header,
 * with its type and end in |inner|. False when the bytes are no field. */
static bool next_field(cursor *c, const frame *outer, frame *inner) {
    uint64_t key, value;
    inner->type = NULL;
    if (!read_varint(c, outer->end, &key)) return false;
    switch (key & 7) {
        case 0:
            return read_varint(c, outer->end, &value);
        case 1:
            return skip_bytes(c, outer->end, 8);
        case 5:
            return skip_bytes(c, outer->end, 4);
        case 2:
            break;
        default:
            return false;
    }
    if (!read_varint(c, outer->end, &value) || value > (uint64_t)(outer->end - c->at)) return false;
    const ProtobufCFieldDescriptor *field =
        key >> 3 <= UINT32_MAX
            ? protobuf_c_message_descriptor_get_field(outer->type, (unsigned)(key >> 3))
            : NULL;
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE) return skip_bytes(c, outer->end, value);
    *inner = (frame){.end = c->at + value, .type = field->descriptor};
    return true;
}

static const char *walk(const uint8_t *data, size_t size) {
    frame stack[MAX_DEPTH] = {{.end = data + size, .type = &onnx__model_proto__descriptor}};
    cursor c = {.at = data};
    size_t messages = 0;
    for (int depth = 0; depth >= 0;) {
        frame inner;
        if (c.at == stack[depth].end) {
            depth--;
            continue;
        }
        if (!next_field(&c, &stack[depth], &inner)) return "is no ONNX model, or cut short";
        if (!inner.type) continue;
        if (depth + 1 == MAX_DEPTH) return "nests messages too deeply for an ONNX model";
        if (++messages > MAX_MESSAGES) return "holds more than 4 million messages";
        stack[++depth] = inner;
    }
    return NULL;
}

bf_status bfi_onnx_unpack(const void *data, size_t size, const char *file, Onnx__ModelProto **out,
                          bf_error *err) {
    if (size == 0) return bfi_fail(err, BF_STATUS_PARSE, "%s: is empty, not an ONNX model", file);
    const char *wrong = walk(data, size);
    if (wrong) return bfi_fail(err, BF_STATUS_PARSE, "%s: %s", file, wrong);
    *out = onnx__model_proto__unpack(NULL, size, data);
    if (*out) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_PARSE, "%s: is no ONNX model, or cut short", file);
}
