/* A client behind a socket that takes as much at a time as the test wants. It speaks fantail.v1, and every
 * text of the gateway comes as a line, so that what was heard reads like a conversation.
 *
 * It holds the core to the transport's contract: nothing is written to a socket that is congested, closed or
 * broken, and nothing empty. */
#ifndef FAKE_CLIENT_H
#define FAKE_CLIENT_H

#include <stdbool.h>

#include "gateway/core/session.h"

/* Two ways of framing, so that subscribers of one channel may be of two forms: lines as they are, and lines
 * that begin with "> ". */
extern const struct transport fake_lines;
extern const struct transport fake_quotes;

/* Clients that only listen, and are told where they are: by "open CURSOR", then before each text by its
 * cursor and a space. fake_feed is for one channel, fake_feeds for several. */
extern const struct transport fake_feed;
extern const struct transport fake_feeds;

/* One that asks and gets one answer, "CURSOR TEXT,TEXT,", with which its session ends. */
extern const struct transport fake_poll;

/* What fake_lines sends as pings. */
#define FAKE_PING "PING"
#define FAKE_VISIBLE_PING "VISIBLE PING"

struct fake_client {
    struct session *session; /* NULL once the connection is gone. */
    size_t takes;            /* Bytes that the socket takes at once. The rest of a write waits in it. */
    uint32_t fails_at;       /* The write, counted from 1, that finds the connection dead; 0: none. */
    struct buf heard;        /* What the client has received. */
    struct buf stuck;        /* Written, and not yet sent. */
    size_t read;             /* How much of `heard` the test has looked at. */
    uint32_t writes;
    bool wants_answer; /* A poll that does not wait for news. */
    bool is_dead;      /* A write failed. */
    bool is_closed;    /* The gateway ended the connection, */
    enum close_reason reason;
};

/* With a socket that takes everything. */
void fake_client_open(struct fake_client *client, struct hub *hub, const struct transport *transport);
/* The connection ends, and what the client has heard is forgotten. */
void fake_client_finish(struct fake_client *client);

void fake_client_say(struct fake_client *client, const char *text);

/* The connection ends, from whichever side; what was heard stays. */
void fake_client_hang_up(struct fake_client *client);

/* The socket has room for `takes` bytes more. Returns whether anything waits still. */
bool fake_client_pump(struct fake_client *client);

/* The next line that was heard and not looked at, or that there is none. */
#define fake_client_hears(client, line) fake_client_hears_at(client, line, __FILE__, __LINE__)
#define fake_client_hears_nothing(client) fake_client_hears_at(client, "", __FILE__, __LINE__)
void fake_client_hears_at(struct fake_client *client, const char *line, const char *file, int at);

/* The next line is the number, as a message without an id. */
#define fake_client_hears_number(client, channel, number)                                                    \
    fake_client_hears_number_at(client, channel, number, __FILE__, __LINE__)
void fake_client_hears_number_at(struct fake_client *client, const char *channel, unsigned number,
                                 const char *file, int at);

/* Takes the next line, without its end; false when there is none. Good until more is heard. */
bool fake_client_read(struct fake_client *client, struct bytes *line);

#endif
