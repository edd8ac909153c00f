#include "gateway/core/rates.h"
#include "gateway/core/session_internal.h"

enum {
    /* What commands cost, in thousandths. A ping takes us microseconds; one more in a frame costs little. */
    COMMAND_MILLI = 1000,
    PING_MILLI = 20,
    /* What is replayed costs one for so many messages or bytes, which take some 100 us to encode and to send. */
    REPLAY_MESSAGES = 64,
    REPLAY_BYTES = 16 * 1024,
    /* Who was quiet may ask for so many seconds' worth at once, and for all the channels it may have: so begins a page
     * that comes back. */
    BURST_SECONDS = 10,
    /* An address may be a school, or a proxy that nobody has listed: it may have as much replayed as so many clients. */
    ADDRESS_CLIENTS = 10,
};

static struct allowance allowance_of(const struct config *config, uint32_t clients) {
    uint64_t rate = (uint64_t)config->limits.commands_per_second * clients;
    uint64_t burst_milli = 1000 * (rate * BURST_SECONDS + config->limits.channels_per_session);
    return (struct allowance){
        .per_second = (uint32_t)rate,
        .burst_milli = (uint32_t)(burst_milli < ALLOWANCE_BURST_MAX ? burst_milli : ALLOWANCE_BURST_MAX),
    };
}

bool hub_may_replay(struct hub *hub, uint64_t client) {
    struct allowance allowance = allowance_of(hub->options.config, ADDRESS_CLIENTS);
    uint64_t now_ms = hub_now_ms(hub);
    bool may =
        client == 0 || allowance.per_second == 0 ||
        token_bucket_has_some(rates_bucket(hub->rates, client, RATE_REPLAYS, now_ms), &allowance, now_ms);
    hub->options.metrics->rate_limited += !may;
    return may;
}

/* Who was refused and asks all the same pays for that too, and is closed when that comes to as much again as it may. */
static void refuse(struct session *session, const struct allowance *allowance, uint32_t cost_milli) {
    const uint32_t used_max = 2 * allowance->burst_milli;
    session_metrics(session)->rate_limited++;
    token_bucket_spend(&session->asked, allowance, cost_milli, used_max, hub_now_ms(session->hub));
    if (session->asked.used_milli == used_max)
        session_close(session, CLOSE_RATE_LIMITED);
}

static bool may_spend(struct session *session, uint32_t cost_milli) {
    struct allowance allowance = allowance_of(session_config(session), 1);
    uint64_t now_ms = hub_now_ms(session->hub);
    if (allowance.per_second == 0)
        return true;
    if (!token_bucket_has_some(&session->asked, &allowance, now_ms)) {
        refuse(session, &allowance, cost_milli);
        return false;
    }
    token_bucket_spend(&session->asked, &allowance, cost_milli, allowance.burst_milli, now_ms);
    return true;
}

bool session_may_ask(struct session *session, const struct command *command) {
    bool is_sign_of_life = command->kind == COMMAND_PING || command->kind == COMMAND_PONG;
    bool wants_replay = command->kind == COMMAND_HISTORY ||
                        (command->kind == COMMAND_SUBSCRIBE && command->start.kind != START_LIVE);
    if (session->keeps_positions)
        return true; /* It asks by its URL, once, and was let in. */
    return may_spend(session, is_sign_of_life ? PING_MILLI : COMMAND_MILLI) &&
           (!wants_replay || hub_may_replay(session->hub, session->client));
}

void session_asked_in_vain(struct session *session) {
    may_spend(session, COMMAND_MILLI);
}

bool session_may_have_replayed(struct session *session) {
    struct allowance allowance = allowance_of(session_config(session), 1);
    bool may = allowance.per_second == 0 ||
               token_bucket_has_some(&session->asked, &allowance, hub_now_ms(session->hub));
    session_metrics(session)->rate_limited += !may;
    return may;
}

/* Leaves room for what a client does that goes on: after a large replay nobody is closed for the next command. */
static void spend_on_replay(struct token_bucket *bucket, const struct allowance *allowance, uint64_t milli,
                            uint64_t now_ms) {
    token_bucket_spend(bucket, allowance, milli, allowance->burst_milli / 2 * 3, now_ms);
}

void session_pay_replay(struct session *session, uint32_t messages, size_t bytes) {
    struct allowance own = allowance_of(session_config(session), 1);
    struct allowance shared = allowance_of(session_config(session), ADDRESS_CLIENTS);
    uint64_t now_ms = hub_now_ms(session->hub);
    uint64_t by_count = COMMAND_MILLI * (uint64_t)messages / REPLAY_MESSAGES;
    uint64_t by_bytes = COMMAND_MILLI * (uint64_t)bytes / REPLAY_BYTES;
    uint64_t milli = by_count > by_bytes ? by_count : by_bytes;
    if (own.per_second == 0)
        return;
    spend_on_replay(&session->asked, &own, milli, now_ms);
    if (session->client != 0)
        spend_on_replay(rates_bucket(session->hub->rates, session->client, RATE_REPLAYS, now_ms), &shared,
                        milli, now_ms);
}
