#include "tests/sim/checker.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/fail.h"

/* How late a client may hear of something. */
enum { LATE_MS = 3000 };

/* A position for printf. */
#define PLACE "%" PRIu64 "-%" PRIu64
#define PLACE_OF(position) (position)->epoch, (position)->offset

/* Channels without history number on a node, far above Redis' clock. */
static bool is_local(const struct position *place) {
    return place->epoch >= (uint64_t)1 << 62;
}

void checker_init(struct checker *checker, const char *client, const struct truth_channel *channel) {
    *checker = (struct checker){.client = client, .channel = channel};
}

void checker_on_connect(struct checker *checker) {
    checker->has_bare = false;
}

void checker_forget_numbers(struct checker *checker) {
    if (truth_has_history(checker->channel))
        return;
    checker->has_number = checker->is_gap_told = false;
    checker->node = NULL;
}

static bool may_drop_silently(const struct checker *checker) {
    return checker->channel->options->slow_consumer == SLOW_CONFLATE;
}

/* The client moves from its place to that of a message, or to one that it was told of. */
static void check_move(const struct checker *checker, const struct position *to, bool is_message) {
    if (!checker->has_place || checker->is_replaying)
        return;
    struct span span = truth_between(checker->channel, &checker->place, to, !is_message);
    /* What was dropped is told of before the next message, and so may be a mark that stood in between. */
    bool may_drop = checker->channel->options->slow_consumer != SLOW_DISCONNECT;
    bool has_new_sequel = span.sequel != 0 && span.sequel != checker->told_epoch;
    bool must_tell = span.messages > 0 || span.marks > 0 || span.leaves_lost || has_new_sequel;
    /* The stream is gone: what it had issued is no record of the next one. Or it is back, from an older state. */
    bool is_gone = position_is_nothing(to) ||
                   (position_is_nothing(&checker->place) && position_compare(to, &checker->place) < 0);
    bool may_tell = must_tell || is_gone || span.lives > 0 || span.lost > 0 || span.begins_lost ||
                    span.sequel != 0 || span.ends_at_mark || checker->channel->was_refused || may_drop ||
                    checker->may_lack_bare;
    if (must_tell && !checker->is_gap_told &&
        !(span.marks == 0 && !span.leaves_lost && !has_new_sequel && may_drop_silently(checker)))
        sim_fail("%s in %s went from " PLACE " to " PLACE " without a gap: %u messages, %u marks%s",
                 checker->client, checker->channel->name, PLACE_OF(&checker->place), PLACE_OF(to),
                 span.messages, span.marks, span.leaves_lost ? ", out of what is lost" : "");
    if (checker->is_gap_told && !may_tell)
        sim_fail("%s in %s went from " PLACE " to " PLACE " with a gap, but nothing is missing",
                 checker->client, checker->channel->name, PLACE_OF(&checker->place), PLACE_OF(to));
}

static void move(struct checker *checker, const struct position *to, bool is_message) {
    check_move(checker, to, is_message);
    if (checker->is_gap_told)
        checker->told_epoch = to->epoch;
    /* Back behind what Redis has lost: until every node knows of the loss, one may bring it again. */
    if (!is_message && checker->has_latest && position_compare(to, &checker->latest) < 0 &&
        truth_find(checker->channel, &checker->latest)->is_lost)
        checker->latest = *to;
    checker->has_place = true;
    checker->place = *to;
    checker->is_gap_told = checker->is_replaying = checker->may_lack_bare = false;
}

static void begin_numbers(struct checker *checker, const struct node *node) {
    if (!checker->has_number) {
        checker->has_number = checker->is_floor = true;
        checker->number = checker->channel->bare_count;
    }
    if (checker->node == NULL) {
        checker->node = node;
        checker->heard_ms = node->timeline->now_ms;
    }
}

void checker_on_answer(struct checker *checker, const struct node *node) {
    if (checker->node == node)
        checker->heard_ms = node->timeline->now_ms;
}

void checker_on_begin(struct checker *checker, const struct node *node, const struct position *place,
                      bool is_replaying) {
    if (!truth_has_history(checker->channel)) {
        begin_numbers(checker, node);
    } else if (!checker->has_place) {
        if (place == NULL || is_local(place))
            sim_fail("%s in %s begins nowhere", checker->client, checker->channel->name);
        checker->has_place = true;
        checker->place = *place;
        checker->is_replaying = is_replaying;
        sim_note("%s in %s begins at " PLACE, checker->client, checker->channel->name, PLACE_OF(place));
    }
}

void checker_on_recovered(struct checker *checker, bool is_recovered, const struct position *place) {
    sim_note("%s in %s: recovered %d " PLACE, checker->client, checker->channel->name, is_recovered,
             PLACE_OF(place));
    if (is_recovered)
        return;
    checker->is_gap_told = true;
    move(checker, place, false);
}

void checker_on_replayed(struct checker *checker, const struct position *end) {
    if (checker->has_place && !checker->is_replaying && position_compare(&checker->place, end) < 0)
        move(checker, end, false);
}

static void on_numbered(struct checker *checker, uint64_t number) {
    const char *name = checker->channel->name;
    uint64_t last = checker->number;
    sim_note("%s in %s: number %" PRIu64, checker->client, name, number);
    if (checker->has_number && !checker->is_floor && number <= last)
        sim_fail("%s in %s got number %" PRIu64 " after %" PRIu64, checker->client, name, number, last);
    if (checker->has_number && number > last + 1 && !checker->is_gap_told && !may_drop_silently(checker))
        sim_fail("%s in %s got number %" PRIu64 " after %" PRIu64 " without a gap", checker->client, name,
                 number, last);
    checker->has_number = true;
    /* In order even before what it was there for at the latest. */
    if (!checker->is_floor || number > last) {
        checker->is_floor = false;
        checker->number = number;
    }
    checker->is_gap_told = false;
}

/* Live and not kept. Whoever has had one by a connection is told when others that would have come by it are lost. */
static void on_bare(struct checker *checker, uint64_t number) {
    const char *name = checker->channel->name;
    sim_note("%s in %s: bare %" PRIu64, checker->client, name, number);
    if (checker->has_bare && number <= checker->bare)
        sim_fail("%s in %s got bare %" PRIu64 " after %" PRIu64, checker->client, name, number,
                 checker->bare);
    if (checker->has_bare && number > checker->bare + 1 && !checker->is_bare_gap_told &&
        !may_drop_silently(checker))
        sim_fail("%s in %s got bare %" PRIu64 " after %" PRIu64 " without a gap", checker->client, name,
                 number, checker->bare);
    checker->has_bare = true;
    checker->is_bare_gap_told = false;
    checker->bare = number;
}

void checker_on_message(struct checker *checker, const struct node *node, const struct position *id,
                        struct bytes payload) {
    char letter = '\0';
    uint64_t number = 0;
    if (!payload_parse(payload, &letter, &number))
        sim_fail("%s got what nobody has published", checker->client);
    checker->node = node;
    checker->heard_ms = node->timeline->now_ms;
    if (!truth_has_history(checker->channel)) {
        on_numbered(checker, number);
        return;
    }
    if (id == NULL) {
        if (letter != 'b')
            sim_fail("%s in %s got m%" PRIu64 " without an id", checker->client, checker->channel->name,
                     number);
        on_bare(checker, number);
        return;
    }
    sim_note("%s in %s: m%" PRIu64 " " PLACE, checker->client, checker->channel->name, number, PLACE_OF(id));
    const struct record *record = truth_find(checker->channel, id);
    if (record == NULL || record->kind != ENTRY_MESSAGE || record->number != number)
        sim_fail("%s in %s got " PLACE " for another message", checker->client, checker->channel->name,
                 PLACE_OF(id));
    if (checker->has_latest && position_compare(id, &checker->latest) <= 0)
        sim_fail("%s in %s got " PLACE " after " PLACE, checker->client, checker->channel->name, PLACE_OF(id),
                 PLACE_OF(&checker->latest));
    if (checker->is_replaying && position_compare(id, &checker->place) > 0)
        checker->is_replaying = false; /* There was nothing to replay. */
    move(checker, id, true);
    checker->has_latest = true;
    checker->latest = *id;
}

void checker_on_gap(struct checker *checker, const struct node *node, const struct position *place) {
    if (place == NULL)
        sim_note("%s in %s: gap", checker->client, checker->channel->name);
    else
        sim_note("%s in %s: gap " PLACE, checker->client, checker->channel->name, PLACE_OF(place));
    checker->is_gap_told = true;
    checker->is_bare_gap_told = true;
    if (truth_has_history(checker->channel)) {
        if (place == NULL && node->broker.lost_count > 0 && checker->channel->bare_count > 0)
            checker->may_lack_bare = true;
        if (place != NULL && !is_local(place))
            move(checker, place, false);
        return;
    }
    bool is_elsewhere = checker->node != NULL && checker->node != node;
    uint64_t silence_ms = node->timeline->now_ms - checker->heard_ms;
    bool was_down = node->broker.lost_count > 0 || checker->channel->was_cut ||
                    node->timeline->now_ms < node->broker.up_ms + LATE_MS;
    /* A node that had no link does not know whether anything was published meanwhile, nor does one that knows
     * nothing of the channel any more; and one that is behind may have more to catch up with than it keeps. */
    if (!is_elsewhere && !was_down && node->hub != NULL &&
        silence_ms < node->hub->options.config->redis.linger_ms / 2 && checker->has_number &&
        !checker->is_floor && checker->channel->bare_count <= checker->number)
        sim_fail("%s in %s was told of a gap, but nothing is missing", checker->client,
                 checker->channel->name);
    if (is_elsewhere)
        checker->has_number = false; /* That node may be behind. */
    checker->node = node;
    checker->heard_ms = node->timeline->now_ms;
}

void checker_settled(const struct checker *checker) {
    const struct truth_channel *channel = checker->channel;
    if (truth_has_history(channel)) {
        const struct position *last = truth_last_message(channel);
        if (!checker->has_place || position_compare(&checker->place, last) < 0)
            sim_fail("%s in %s is at " PLACE " in the end, not at " PLACE, checker->client, channel->name,
                     PLACE_OF(&checker->place), PLACE_OF(last));
    } else if (!checker->is_gap_told && (!checker->has_number || checker->number != channel->bare_count)) {
        sim_fail("%s in %s is at number %" PRIu64 " in the end, not at %" PRIu64, checker->client,
                 channel->name, checker->number, channel->bare_count);
    }
}
