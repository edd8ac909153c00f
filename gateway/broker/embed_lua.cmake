# Writes fantail.lua (IN) as an array in C (OUT), with the number of its version.
file(READ ${IN} text)
if(NOT text MATCHES "\nlocal VERSION = ([0-9]+)\n")
  message(FATAL_ERROR "${IN} does not say its VERSION")
endif()
set(version ${CMAKE_MATCH_1})
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(
  WRITE ${OUT}
  "#include \"gateway/broker/fantail_lua.h\"

const unsigned fantail_lua_version = ${version};
const char fantail_lua[] = {${bytes}};
const size_t fantail_lua_len = sizeof fantail_lua;
")
