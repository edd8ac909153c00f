/* A broker whose every move is the test's: when it confirms, what it brings, whether its link holds. */
#ifndef FAKE_BROKER_H
#define FAKE_BROKER_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/broker/broker.h"

/* Something that the hub asked for and that has no answer yet. */
struct fake_request {
    char *channel;
    char *payload; /* Of a publish; terminated. */
    bool has_seen; /* Of a sync. */
    struct position seen;
    publish_done *on_published;
    sync_done *on_synced;
    void *arg;
};

struct fake_requests {
    struct fake_request *items; /* Oldest first. */
    size_t count;
};

struct fake_broker {
    struct broker base;
    bool is_up;
    bool confirms;                /* Confirms at the end of the turn, as Redis does when all is well. */
    struct fake_requests waiting; /* Subscribed and not confirmed. */
    struct fake_requests publishes;
    struct fake_requests syncs;
    size_t subscribed;   /* How often subscribe was called, */
    size_t unsubscribed; /* and unsubscribe. */
    size_t flushes;
    bool is_held;
};

/* Up, and confirming by itself. */
void fake_broker_init(struct fake_broker *broker);
/* Answers what waits with ERR_BROKER_UNAVAILABLE. */
void fake_broker_finish(struct fake_broker *broker);
void fake_broker_attach(struct fake_broker *broker, const struct broker_events *events, void *context);

/* Whether the hub asked for `channel` and waits for it. */
bool fake_broker_is_waiting(const struct fake_broker *broker, const char *channel);
void fake_broker_confirm(struct fake_broker *broker, const char *channel);
void fake_broker_refuse(struct fake_broker *broker, const char *channel);
void fake_broker_confirm_all(struct fake_broker *broker);

/* Brings a bare message. */
void fake_broker_bring(struct fake_broker *broker, const char *channel, const char *payload);
void fake_broker_bring_number(struct fake_broker *broker, const char *channel, unsigned number);
void fake_broker_bring_entry(struct fake_broker *broker, const char *channel, const struct entry *entry);

/* The link goes; what waits for a confirmation is forgotten, as by Redis. */
void fake_broker_lose_link(struct fake_broker *broker);
void fake_broker_restore_link(struct fake_broker *broker);

/* Answers the oldest publish, or sync, without an answer. */
void fake_broker_answer_publish(struct fake_broker *broker, enum error error, const struct position *id);
void fake_broker_answer_sync(struct fake_broker *broker, enum error error, const struct sync_result *result);

#endif
