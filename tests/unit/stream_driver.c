/* stream_store behind standard input, for the test that it and fantail.lua agree. A command per line, words
 * separated by a space; "-" stands for an empty one:
 *
 *   publish RUN NOW CHANNEL SIZE TTL POSITION_TTL h|- IDEMPOTENCY_KEY PAYLOAD
 *   sync RUN NOW CHANNEL SIZE TTL POSITION_TTL SEEN
 *   dump | restore | clear | sweep NOW | forget CHANNEL
 *
 * A line of JSON answers each: the id for publish, [head, entries] for sync, else null; after it, in the same
 * array, what went out: [channel, entry] each. An entry is what fantail_sync returns for one. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/broker/stream_store.h"

enum { WORDS_MAX = 10 };

struct driver {
    struct stream_store *store;
    struct stream_store *dump;
    struct buf answer;
    struct buf live;
};

static void write_position(struct buf *out, bool is_there, const struct position *position) {
    buf_append_char(out, '"');
    if (is_there)
        position_append(position, out);
    buf_append_char(out, '"');
}

static void write_entry(struct buf *out, const struct entry *entry) {
    buf_append_char(out, '[');
    write_position(out, true, &entry->id);
    buf_printf(out, ",\"%c\",", "mbg"[entry->kind]);
    write_position(out, entry->has_previous, &entry->previous);
    buf_append_text(out, ",\"");
    buf_append_u64(out, entry->published_ms);
    buf_append_text(out, entry->is_urgent ? "\",\"h\"," : "\",\"-\",");
    buf_append_json_string(out, entry->payload);
    buf_append_char(out, ']');
}

static void on_entry(void *context, struct bytes channel, const struct entry *entry) {
    struct driver *driver = context;
    buf_append_text(&driver->live, ",[");
    buf_append_json_string(&driver->live, channel);
    buf_append_char(&driver->live, ',');
    write_entry(&driver->live, entry);
    buf_append_char(&driver->live, ']');
}

static struct bytes text(const char *word) {
    return strcmp(word, "-") == 0 ? BYTES_LITERAL("") : bytes_of(word);
}

static struct namespace_config options_of(char **words) {
    return (struct namespace_config){
        .history_size = (uint32_t)strtoul(words[0], NULL, 10),
        .history_ttl_seconds = (uint32_t)strtoul(words[1], NULL, 10),
        .position_ttl_seconds = (uint32_t)strtoul(words[2], NULL, 10),
    };
}

static void publish(struct driver *driver, char **words) {
    struct namespace_config options = options_of(words + 4);
    struct publish_request request = {
        .channel = text(words[3]),
        .payload = text(words[9]),
        .options = &options,
        .is_urgent = words[7][0] == 'h',
        .idempotency_key = text(words[8]),
    };
    struct position id = stream_store_append(driver->store, strtoull(words[1], NULL, 10),
                                             strtoull(words[2], NULL, 10), &request, on_entry, driver);
    write_position(&driver->answer, true, &id);
}

static void sync(struct driver *driver, char **words) {
    struct namespace_config options = options_of(words + 4);
    struct position seen;
    struct sync_result result;
    bool has_seen = position_parse(bytes_of(words[7]), &seen);
    stream_store_sync(driver->store, strtoull(words[1], NULL, 10), strtoull(words[2], NULL, 10),
                      text(words[3]), &options, has_seen ? &seen : NULL, on_entry, driver, &result);
    buf_append_char(&driver->answer, '[');
    write_position(&driver->answer, true, &result.head);
    buf_append_text(&driver->answer, ",[");
    for (size_t i = 0; i < result.count; i++) {
        if (i > 0)
            buf_append_char(&driver->answer, ',');
        write_entry(&driver->answer, &result.entries[i]);
    }
    buf_append_text(&driver->answer, "],\"");
    if (result.has_calm)
        buf_append_u64(&driver->answer, result.calm);
    buf_append_text(&driver->answer, "\"]");
}

/* False for what is no command. */
static bool run(struct driver *driver, char **words, size_t count) {
    if (count == 10 && strcmp(words[0], "publish") == 0) {
        publish(driver, words);
        return true;
    }
    if (count == 8 && strcmp(words[0], "sync") == 0) {
        sync(driver, words);
        return true;
    }
    buf_append_text(&driver->answer, "null");
    if (count == 1 && strcmp(words[0], "dump") == 0) {
        stream_store_destroy(driver->dump);
        driver->dump = stream_store_copy(driver->store);
    } else if (count == 1 && strcmp(words[0], "restore") == 0 && driver->dump != NULL) {
        stream_store_restore(driver->store, driver->dump);
    } else if (count == 1 && strcmp(words[0], "clear") == 0) {
        stream_store_clear(driver->store);
    } else if (count == 2 && strcmp(words[0], "sweep") == 0) {
        stream_store_sweep(driver->store, strtoull(words[1], NULL, 10));
    } else if (count == 2 && strcmp(words[0], "forget") == 0) {
        stream_store_forget(driver->store, bytes_of(words[1]));
    } else {
        return false;
    }
    return true;
}

int main(void) {
    struct driver driver = {.store = stream_store_create()};
    char *line = NULL;
    size_t capacity = 0;
    int status = 0;
    buf_init(&driver.answer, 0);
    buf_init(&driver.live, 0);
    while (status == 0 && getline(&line, &capacity, stdin) > 0) {
        char *words[WORDS_MAX + 1];
        char *rest = line;
        size_t count = 0;
        while (count <= WORDS_MAX && (words[count] = strtok_r(rest, " \n", &rest)) != NULL)
            count++;
        buf_clear(&driver.answer);
        buf_clear(&driver.live);
        if (!run(&driver, words, count)) {
            fprintf(stderr, "stream_driver: no command: %s\n", count > 0 ? words[0] : "");
            status = 2;
        }
        printf("[%.*s%.*s]\n", BYTES_FMT(buf_bytes(&driver.answer)), BYTES_FMT(buf_bytes(&driver.live)));
        fflush(stdout);
    }
    free(line);
    buf_finish(&driver.answer);
    buf_finish(&driver.live);
    stream_store_destroy(driver.dump);
    stream_store_destroy(driver.store);
    return status;
}
