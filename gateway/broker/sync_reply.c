#include "gateway/broker/sync_reply.h"

#include <stdlib.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/broker/envelope.h"

enum field {
    FIELD_ID,
    FIELD_KIND,
    FIELD_PREVIOUS,
    FIELD_PUBLISHED,
    FIELD_PRIORITY,
    FIELD_PAYLOAD,
    FIELD_COUNT
};

static bool is_array(const redisReply *reply, size_t least) {
    return reply->type == REDIS_REPLY_ARRAY && reply->elements >= least;
}

static bool is_string(const redisReply *reply) {
    return reply->type == REDIS_REPLY_STRING;
}

static struct bytes string(const redisReply *reply) {
    return bytes_make(reply->str, reply->len);
}

static bool parse_entry(const redisReply *reply, struct entry *entry, bool *is_known) {
    if (!is_array(reply, FIELD_COUNT))
        return false;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (!is_string(reply->element[i]))
            return false;
    }
    struct bytes kind = string(reply->element[FIELD_KIND]);
    struct bytes previous = string(reply->element[FIELD_PREVIOUS]);
    *entry = (struct entry){
        .has_id = true,
        .has_previous = previous.len > 0,
        .is_urgent = bytes_equal_text(string(reply->element[FIELD_PRIORITY]), "h"),
        .payload = string(reply->element[FIELD_PAYLOAD]),
    };
    *is_known = kind.len == 1 && envelope_parse_kind(kind.data[0], &entry->kind);
    return position_parse(string(reply->element[FIELD_ID]), &entry->id) &&
           (!entry->has_previous || position_parse(previous, &entry->previous)) &&
           text_parse_u64(string(reply->element[FIELD_PUBLISHED]), &entry->published_ms);
}

/* Of a library that is older than we are there is none. */
static void parse_calm(const redisReply *reply, struct sync_result *result) {
    result->has_calm = reply->elements > 2 && is_string(reply->element[2]) &&
                       text_parse_u64(string(reply->element[2]), &result->calm);
}

bool sync_reply_parse(const redisReply *reply, struct sync_reply *parsed) {
    struct sync_reply result = {0};
    if (!is_array(reply, 2) || !is_string(reply->element[0]) || !is_array(reply->element[1], 0) ||
        !position_parse(string(reply->element[0]), &result.result.head))
        return false;
    const redisReply *entries = reply->element[1];
    result.entries = xmalloc((entries->elements + 1) * sizeof *result.entries);
    for (size_t i = 0; i < entries->elements; i++) {
        bool is_known;
        if (!parse_entry(entries->element[i], &result.entries[result.result.count], &is_known)) {
            free(result.entries);
            return false;
        }
        result.result.count += is_known;
        result.unknown += !is_known;
    }
    result.result.entries = result.entries;
    parse_calm(reply, &result.result);
    *parsed = result;
    return true;
}

void sync_reply_finish(struct sync_reply *parsed) {
    free(parsed->entries);
    *parsed = (struct sync_reply){0};
}
