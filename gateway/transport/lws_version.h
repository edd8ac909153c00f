/* What differs between the versions of libwebsockets that we build with: 4.1.6 (Debian 12) and 4.3.5 (Debian 13). */
#ifndef TRANSPORT_LWS_VERSION_H
#define TRANSPORT_LWS_VERSION_H

#include <libwebsockets.h>

/* Its number is defined without parentheses. */
#define LWS_IS_4_2 ((LWS_LIBRARY_VERSION_NUMBER) >= 4002000)

/* Whether it reads from a connection in the middle of a transaction when it may (ops-h1.c,
 * LRS_DOING_TRANSACTION), and then loses the request that was waiting. Where it does not, reading has to be on
 * before the transaction ends, or it spins. */
enum { LWS_READS_WHILE_ANSWERING = LWS_IS_4_2 };

/* Whether it takes all that it has read for a request's body, also what lies behind its end (ops-h1.c, lws_read_h1:
 * content_length_given, which only HTTP/2 and clients set). It counts beyond the end then and never tells of it.
 * From 4.2.0 to 4.5.8 at least. */
enum { LWS_READS_PAST_BODIES = LWS_IS_4_2 };

/* Whether WebSockets are compressed where the configuration says "auto". We go around libwebsockets' compressor, but
 * not around its parser of frames, which in 4.1.6 has faults with extensions that were found later. None of them is
 * on our way as far as we can see; whoever runs that version may decide. */
enum { LWS_IS_COMPRESSED_BY_DEFAULT = LWS_IS_4_2 };

#endif
