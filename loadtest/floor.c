/* fantail-floor: the least that a fan-out server can do. It shows what the kernel's part is, and so how far
 * from it a real gateway is. One message out of Redis becomes a ready frame, which goes to every subscriber
 * by one send() each; with --join all messages of one turn of the loop go by one send(). No limits worth the
 * name, no authentication, no heartbeats: not for use. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/xalloc.h"
#include "loadtest/floor_http.h"

enum {
    EVENTS_PER_TURN = 512,
    ACCEPTS_PER_TURN = 64,
    READ_BYTES = 65536,
    PENDING_BYTES_MAX = 4 << 20, /* Of a client that does not read; then it is closed. */
};

struct room;

struct membership {
    struct room *room;
    uint32_t place; /* In room->clients. */
};

struct client {
    int fd;
    uint8_t form; /* enum floor_form */
    bool is_open; /* Past its handshake. */
    uint32_t membership_count;
    struct membership *memberships;
    struct buf *in;  /* The beginning of something; NULL mostly. */
    struct buf *out; /* What the socket did not take; NULL mostly. */
};

struct place {
    struct client *client;
    uint32_t membership; /* In client->memberships. */
};

struct room {
    UT_hash_handle hh;
    struct place *places;
    uint32_t count;
    uint32_t capacity;
    bool forms[3];         /* Ever used in this room. */
    struct buf pending[3]; /* Wire form of this turn's messages, by enum floor_form. */
    struct room *next_dirty;
    char name[];
};

static struct {
    int epoll_fd;
    int listen_fd;
    int redis_fd;
    bool joins;
    redisReader *reader;
    struct buf redis_out;
    struct room *rooms;
    struct room *dirty;
    char *buffer;
} server;

/* What epoll gives back for the two sockets that are not clients. */
static char listener_tag, redis_tag;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int operation, int fd, uint32_t events, void *tag) {
    struct epoll_event event = {.events = events, .data.ptr = tag};
    epoll_ctl(server.epoll_fd, operation, fd, &event);
}

static struct room *find_room(struct bytes name) {
    struct room *room;
    HASH_FIND(hh, server.rooms, name.data, name.len, room);
    return room;
}

/* The first subscriber makes us listen at Redis; we never stop again. */
static struct room *get_room(struct bytes name) {
    struct room *room = find_room(name);
    if (room != NULL)
        return room;
    room = xcalloc(1, sizeof *room + name.len + 1);
    memcpy(room->name, name.data, name.len);
    for (int i = 0; i < 3; i++)
        buf_init(&room->pending[i], 0);
    HASH_ADD_KEYPTR(hh, server.rooms, room->name, name.len, room);
    buf_printf(&server.redis_out, "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n", name.len);
    buf_append_bytes(&server.redis_out, name);
    buf_append_text(&server.redis_out, "\r\n");
    return room;
}

static void join(struct client *client, struct bytes name) {
    struct room *room = get_room(name);
    if (room->count == room->capacity) {
        room->capacity = room->capacity ? room->capacity * 2 : 4;
        room->places = xrealloc(room->places, room->capacity * sizeof *room->places);
    }
    client->memberships =
        xrealloc(client->memberships, (client->membership_count + 1) * sizeof *client->memberships);
    client->memberships[client->membership_count] = (struct membership){room, room->count};
    room->places[room->count++] = (struct place){client, client->membership_count++};
    room->forms[client->form] = true;
}

static void leave_all(struct client *client) {
    for (uint32_t i = 0; i < client->membership_count; i++) {
        struct membership *left = &client->memberships[i];
        struct place *last = &left->room->places[--left->room->count];
        left->room->places[left->place] = *last;
        last->client->memberships[last->membership].place = left->place;
    }
}

static void free_buf(struct buf **buf) {
    if (*buf != NULL)
        buf_finish(*buf);
    free(*buf);
    *buf = NULL;
}

/* Only from the client's own event: a fan-out must not change the array it walks. */
static void close_client(struct client *client) {
    leave_all(client);
    close(client->fd);
    free(client->memberships);
    free_buf(&client->in);
    free_buf(&client->out);
    free(client);
}

static void keep(struct buf **buf, struct bytes bytes) {
    if (*buf == NULL) {
        *buf = xcalloc(1, sizeof **buf);
        buf_init(*buf, PENDING_BYTES_MAX);
    }
    /* Full: let its own event close it. */
    if (!buf_append_bytes(*buf, bytes))
        (*buf)->overflow = true;
}

static void deliver(struct client *client, struct bytes bytes) {
    ssize_t sent = 0;
    if (client->out == NULL) {
        sent = send(client->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent == (ssize_t)bytes.len || (sent < 0 && errno != EAGAIN))
            return;
        watch(EPOLL_CTL_MOD, client->fd, EPOLLIN | EPOLLOUT, client);
    }
    keep(&client->out, bytes_skip(bytes, sent > 0 ? (size_t)sent : 0));
    if (client->out->overflow)
        shutdown(client->fd, SHUT_RDWR);
}

static void flush_client(struct client *client) {
    ssize_t sent = send(client->fd, client->out->data, client->out->len, MSG_NOSIGNAL);
    if (sent > 0)
        buf_consume(client->out, (size_t)sent);
    if (client->out->len == 0) {
        free_buf(&client->out);
        watch(EPOLL_CTL_MOD, client->fd, EPOLLIN, client);
    }
}

static void flush_room(struct room *room) {
    for (uint32_t i = 0; i < room->count; i++) {
        struct client *client = room->places[i].client;
        deliver(client, buf_bytes(&room->pending[client->form]));
    }
    for (int i = 0; i < 3; i++)
        buf_clear(&room->pending[i]);
}

static void take_message(struct bytes channel, struct bytes payload) {
    struct room *room = find_room(channel);
    if (room == NULL)
        return;
    bool is_dirty = false;
    for (int i = 0; i < 3; i++) {
        is_dirty = is_dirty || room->pending[i].len > 0;
        if (room->forms[i])
            floor_append_message(&room->pending[i], (enum floor_form)i, channel, payload);
    }
    if (!server.joins) {
        flush_room(room);
    } else if (!is_dirty) {
        room->next_dirty = server.dirty;
        server.dirty = room;
    }
}

static void read_redis(void) {
    ssize_t got = read(server.redis_fd, server.buffer, READ_BYTES);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("fantail-floor: Redis is gone");
    redisReaderFeed(server.reader, server.buffer, (size_t)got);
    void *object;
    while (redisReaderGetReply(server.reader, &object) == REDIS_OK && object != NULL) {
        const redisReply *reply = object;
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
            strcmp(reply->element[0]->str, "message") == 0)
            take_message(bytes_make(reply->element[1]->str, reply->element[1]->len),
                         bytes_make(reply->element[2]->str, reply->element[2]->len));
        freeReplyObject(object);
    }
    while (server.dirty != NULL) {
        struct room *room = server.dirty;
        server.dirty = room->next_dirty;
        flush_room(room);
    }
}

static void flush_redis(void) {
    while (server.redis_out.len > 0) {
        ssize_t sent = write(server.redis_fd, server.redis_out.data, server.redis_out.len);
        if (sent < 0)
            return; /* Redis is slow to read: the next turn goes on. */
        buf_consume(&server.redis_out, (size_t)sent);
    }
}

static struct bytes json_member(struct bytes text, const char *key) {
    const char *found = memmem(text.data, text.len, key, strlen(key));
    if (found == NULL)
        return (struct bytes){0};
    struct bytes value = bytes_skip(text, (size_t)(found - text.data) + strlen(key));
    size_t len = 0;
    while (len < value.len && value.data[len] != '"' && value.data[len] != ',' && value.data[len] != '}')
        len++;
    return bytes_make(value.data, len);
}

static void take_command(struct client *client, struct bytes text) {
    struct bytes channel = json_member(text, "\"channel\":\"");
    struct bytes ref = json_member(text, "\"ref\":");
    if (channel.data == NULL || ref.data == NULL)
        return;
    join(client, channel);
    char reply[512];
    int len = snprintf(reply + 4, sizeof reply - 4, "{\"ref\":%.*s,\"ok\":true,\"channel\":\"%.*s\"}",
                       BYTES_FMT(ref), BYTES_FMT(channel));
    if (len < 0 || (size_t)len >= sizeof reply - 4)
        return;
    size_t head = len < 126 ? 2 : 4;
    char *frame = reply + 4 - head;
    frame[0] = (char)0x81;
    frame[1] = (char)(len < 126 ? len : 126);
    if (len >= 126) {
        frame[2] = (char)(len >> 8);
        frame[3] = (char)len;
    }
    deliver(client, bytes_make(frame, (size_t)len + head));
}

/* One masked frame of a client. Returns the bytes used, 0: not whole yet, -1: close. */
static ssize_t take_frame(struct client *client, char *data, size_t len) {
    if (len < 6)
        return 0;
    uint8_t opcode = data[0] & 0x0f;
    size_t payload_len = data[1] & 0x7f;
    size_t head = 2;
    if (payload_len == 126) {
        if (len < 8)
            return 0;
        payload_len = (size_t)(uint8_t)data[2] << 8 | (uint8_t)data[3];
        head = 4;
    }
    if (payload_len == 127 || (data[1] & 0x80) == 0 || opcode == 8)
        return -1;
    if (len < head + 4 + payload_len)
        return 0;
    char *payload = data + head + 4;
    for (size_t i = 0; i < payload_len; i++)
        payload[i] = (char)(payload[i] ^ data[head + i % 4]);
    if (opcode == 1)
        take_command(client, bytes_make(payload, payload_len));
    return (ssize_t)(head + 4 + payload_len);
}

static ssize_t take_request(struct client *client, struct bytes in) {
    struct floor_request request;
    int result = floor_parse_request(in, &request);
    if (result <= 0)
        return result;
    struct buf response;
    buf_init(&response, 0);
    client->form = (uint8_t)request.form;
    client->is_open = true;
    struct bytes channel;
    while ((channel = floor_next_channel(&request.query)).data != NULL)
        join(client, channel);
    floor_append_response(&response, &request);
    deliver(client, buf_bytes(&response));
    buf_finish(&response);
    return (ssize_t)request.len;
}

static void read_client(struct client *client) {
    size_t have = 0;
    if (client->in != NULL) {
        have = client->in->len;
        memcpy(server.buffer, client->in->data, have);
        free_buf(&client->in);
    }
    ssize_t got = recv(client->fd, server.buffer + have, READ_BYTES, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN && have == 0)
            return;
        close_client(client);
        return;
    }
    size_t total = have + (size_t)got;
    size_t used = 0;
    while (used < total) {
        ssize_t step = client->is_open ? take_frame(client, server.buffer + used, total - used)
                                       : take_request(client, bytes_make(server.buffer + used, total - used));
        if (step < 0 || (step == 0 && total - used > READ_BYTES)) {
            close_client(client);
            return;
        }
        if (step == 0)
            break;
        used += (size_t)step;
    }
    if (used < total)
        keep(&client->in, bytes_make(server.buffer + used, total - used));
}

static void accept_some(void) {
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(server.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct client *client = xcalloc(1, sizeof *client);
        client->fd = fd;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, client);
    }
}

static void on_event(const struct epoll_event *event) {
    if (event->data.ptr == &listener_tag) {
        accept_some();
    } else if (event->data.ptr == &redis_tag) {
        read_redis();
    } else {
        struct client *client = event->data.ptr;
        if (event->events & EPOLLOUT && client->out != NULL)
            flush_client(client);
        if (event->events & ~(uint32_t)EPOLLOUT)
            read_client(client);
    }
}

static int listen_on(uint16_t port) {
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* Accepted sockets inherit it. */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
        die("fantail-floor: listen");
    return fd;
}

static int connect_redis(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("fantail-floor: Redis");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (ioctl(fd, FIONBIO, &on) != 0)
        die("fantail-floor: Redis");
    return fd;
}

static void raise_descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv) {
    static const struct option names[] = {{"port", required_argument, NULL, 'p'},
                                          {"redis-port", required_argument, NULL, 'r'},
                                          {"join", no_argument, NULL, 'j'},
                                          {0}};
    uint16_t port = 8000;
    uint16_t redis_port = 6379;
    int which;
    while ((which = getopt_long(argc, argv, "p:r:j", names, NULL)) != -1) {
        if (which == 'p')
            port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (which == 'r')
            redis_port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (which == 'j')
            server.joins = true;
        else
            return fputs("usage: fantail-floor [--port N] [--redis-port N] [--join]\n", stderr), 2;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server.reader = redisReaderCreate();
    server.buffer = xmalloc(READ_BYTES * 2);
    buf_init(&server.redis_out, 0);
    server.redis_fd = connect_redis(redis_port);
    server.listen_fd = listen_on(port);
    watch(EPOLL_CTL_ADD, server.redis_fd, EPOLLIN, &redis_tag);
    watch(EPOLL_CTL_ADD, server.listen_fd, EPOLLIN, &listener_tag);
    fprintf(stderr, "fantail-floor: listening on 127.0.0.1:%u\n", port);
    struct epoll_event events[EVENTS_PER_TURN];
    for (;;) {
        int count = epoll_wait(server.epoll_fd, events, EVENTS_PER_TURN, server.redis_out.len > 0 ? 10 : -1);
        for (int i = 0; i < count; i++)
            on_event(&events[i]);
        flush_redis();
    }
}
