/* fantail.lua, as the build puts it into the program. */
#ifndef BROKER_FANTAIL_LUA_H
#define BROKER_FANTAIL_LUA_H

#include <stddef.h>

extern const unsigned fantail_lua_version;
extern const char fantail_lua[];
extern const size_t fantail_lua_len;

#endif
