#include "loadtest/help.h"

#include <stdio.h>

#include "loadtest/peer.h"
#include "loadtest/scenario.h"

static const char intro[] =
    "fantail-load measures a pub/sub gateway: it subscribes clients, publishes, and says what\n"
    "arrived, how late, and what it cost the server.\n"
    "\n"
    "  fantail-load [SCENARIO] [OPTIONS]\n"
    "\n"
    "Try first, with a gateway on port 8000 and its Redis on 6379:\n"
    "\n"
    "  fantail-load fanout --server-pid $(pgrep -xd, fantail)\n"
    "  fantail-load rooms -n 2000 -c 200 -r 500 --html report.html\n"
    "  fantail-load fanout --window 8            # closed loop: as fast as it goes\n"
    "  fantail-load fanout --find-rate --p99 5   # the highest rate with a p99 of 5 ms\n"
    "\n"
    "Scenarios, each with its defaults:\n";

static const char options_text[] =
    "\n"
    "Who listens\n"
    "  -n, --subscribers N             connections\n"
    "  -c, --channels N                subscriber i listens to channel i modulo N\n"
    "      --channels-per-subscriber N (1) several channels on one connection\n"
    "      --prefix TEXT               (load:) a channel's name is this and its number\n"
    "      --transports LIST           (ws) shares, e.g. ws:2,sse:1,stream:1,longpoll:1\n"
    "      --deflate                   offer permessage-deflate, and inflate what comes\n"
    "      --browser-headers           ask as Chromium does, in some 800 bytes instead of 180\n"
    "      --connecting N              (256) connects under way at once\n"
    "      --processes N               (as few as the limit of open files allows)\n"
    "      --source-addresses N        (as few as the ports allow) connect from 127.0.0.1 .. 127.0.0.N\n"
    "\n"
    "What is published\n"
    "  -r, --rate N                    messages a second over all channels: the open loop. Each message has "
    "its\n"
    "                                  time; latency counts from there, also when it left late\n"
    "  -w, --window N                  the closed loop instead: N messages in flight, the next when all\n"
    "                                  subscribers have one\n"
    "      --publishers N              (1) each with its own connection and numbering; over HTTP each has "
    "one\n"
    "                                  message under way\n"
    "      --payload BYTES             (128) JSON of exactly this size, at least 68\n"
    "      --random                    a random channel each time, else one after the other\n"
    "      --via redis|fcall|http|ws   PUBLISH to Redis; fantail_publish with history; the admin API; a "
    "client\n"
    "\n"
    "Where\n"
    "      --url URL                   (ws://127.0.0.1:8000) the gateway\n"
    "      --redis URL                 (redis://127.0.0.1:6379) also redis://user:password@host:port/db, "
    "unix:/path\n"
    "      --admin URL                 (the gateway's next port) for --via http\n"
    "      --api-key KEY\n"
    "      --peer NAME                 what kind of server it is, see below\n"
    "\n"
    "When, in seconds\n"
    "      --settle N                  (1) wait after connecting; memory is read at its end\n"
    "      --warmup N                  (1) publish without measuring\n"
    "  -d, --duration N                measure\n"
    "      --drain N                   (5) wait at most so long for what is still on its way\n"
    "\n"
    "Of single scenarios\n"
    "      --cut PERCENT               (100) reconnect: how many lose their connection\n"
    "      --no-recover                reconnect: do not ask for what was missed\n"
    "      --slow N                    how many do not read; their own losses are not counted\n"
    "      --slow-rate BYTES           (0) what each of them reads a second\n"
    "      --no-final                  idle: without the one message to every channel at the end\n"
    "      --find-rate                 search the highest rate that keeps --p99 and loses nothing\n"
    "      --p99 MS                    (10)\n"
    "      --step N                    (3) seconds per rate tried\n"
    "\n"
    "What is reported\n"
    "      --server-pid PID[,PID]      CPU and memory of these and of all their children\n"
    "      --json FILE                 all numbers; - is standard output\n"
    "      --html FILE                 a page with charts that needs nothing else\n"
    "      --title TEXT                of that page\n"
    "      --quiet                     no progress\n"
    "  -h, --help  --version\n"
    "\n"
    "Numbers may end in k: -n 18k. Ctrl-C ends the run and prints what it has. The exit status is 1 when "
    "messages\n"
    "were lost, doubled or out of order, or clients could not connect; 2 when the run was not possible.\n"
    "docs/LOADTEST.md says what each number means and how not to fool oneself.\n"
    "\n"
    "Peers\n";

void help_print(void) {
    fputs(intro, stdout);
    for (int i = 0; i < SCENARIO_COUNT; i++) {
        const struct scenario *scenario = scenario_of((enum scenario_kind)i);
        printf("  %-10s %s\n", scenario->name, scenario->summary);
        printf("             -n %u -c %u -%c %g -d %g\n", scenario->subscribers, scenario->channels,
               scenario->window > 0 ? 'w' : 'r', scenario->window > 0 ? scenario->window : scenario->rate,
               scenario->duration_seconds);
    }
    fputs(options_text, stdout);
    for (uint32_t i = 0; peer_at(i) != NULL; i++)
        printf("  %-10s %s\n", peer_at(i)->name, peer_at(i)->summary);
}
