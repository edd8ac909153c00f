#!lua name=fantail

-- Channels with history, as Redis Functions (Redis 7.0 or newer, Valkey). The gateway loads them; anyone may call:
--
--   FCALL fantail_publish 1 <prefix><channel> <payload> [name value ...]
--     Appends the message to the channel's stream, trims it, and publishes it: one step. Returns the id.
--     size N, ttl SECONDS      messages kept, and for how long; with a size of 0 the payload is published as it
--                              is, and nil returned
--     position_ttl SECONDS     the stream is forgotten after so long without a publish
--     priority high|low        high: not to be held back for a batch
--     idempotency_key KEY      a publish with the same key within the window returns the first one's id only
--     idempotency_window SECONDS
--   FCALL_RO fantail_read 1 <prefix><channel> <position or ''> [size N ttl SECONDS position_ttl SECONDS]
--     Returns { newest id, { entry ... }, calm }: the entries after the position if the stream still holds what
--     follows it, else all. An entry is { id, kind, previous id or '', ms since 1970, priority, payload }. Where there
--     is no stream the newest id is a place of nothing, see below. With an empty list something has to be
--     written first: ask fantail_sync.
--   FCALL fantail_sync ...
--     The same, and it writes what there is to write: the mark of a loss that the position proves.
--   FCALL_RO fantail_version 0
--
-- Options that are not given come from the hash fantail:namespaces, which the gateway writes: a field is what a
-- full name begins with, the longest that fits counts, and its value is "SIZE TTL POSITION_TTL".
--
-- An id is EPOCH-OFFSET; within an epoch offsets count 0, 1, 2, ... No id may ever mean two messages, but a Redis
-- that comes back from an older state, or a replica that takes over, does not know what was issued last. So each
-- life of the data has a name, its run, and under another one than before a stream begins a new epoch at the
-- next append: with a boundary, which names the last entry that is left. Whoever has seen a later one than is
-- left proves a loss when he syncs; then a gap mark is appended, one for each change of epochs.
-- "Nothing yet" is a place too, and is kept nowhere: the moment of the read, with an offset that no entry has. It goes
-- on with the first entry of a stream that begins later, if nothing can have been in between. `calm` says since when that is
-- known: in this life of the data, and for no longer than a stream without publishes is kept; '' where it is not.
-- gateway/broker/stream_store.c has the same rules in C, and a test that both agree.
--
-- Keys, all in the slot of the channel's own name:
--   fantail:stream:{KEY}     the stream; fields: d payload, t ms since 1970, p 'h' when urgent; of marks: k kind
--                            ('b' or 'g'), v previous id
--   fantail:meta:{KEY}       run, epoch; of the change to this epoch: prev, the last id left of the one before, and
--                            lost, '1' when it counts as a loss; oldest, a time before which no entry is left
--   fantail:once:{KEY}:K     the id that a publish with the idempotency key K got
-- And one of no channel:
--   fantail:life             since when these data are written, in ms since 1970: FLUSHALL takes it away

-- To be increased with every change; a gateway replaces a library with a lower number than its own.
local VERSION = 2

local DEFAULTS = { size = 100, ttl = 300, position_ttl = 604800 }
local ONCE_SECONDS = 300
local LIFE = 'fantail:life'
local NO_OFFSET = '18446744073709551615'
-- Epochs are milliseconds of a clock; a position from further ahead than clocks differ was never issued.
local CLOCKS_DIFFER_MS = 3600 * 1000
-- A key's life is renewed when less than what was promised is left; it gets this much more, so that this is rare.
local SPARE = 1.01
local WALK = 16

-- ---- Time and runs ------------------------------------------------------------------------------------------

local function now_ms()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local run

-- The name of this life of the data: of the process, and, as a process may become a replica and come back with
-- another's data, of the replication history. That case empties `run`, since functions come with the data.
local function current_run()
    if not run then
        local info = redis.call('INFO', 'server', 'replication')
        local process = string.match(info, 'run_id:(%x+)')
        local history = string.match(info, 'master_replid:(%x+)')
        run = string.sub(process, 1, 16) .. '-' .. string.sub(history, 1, 16)
    end
    return run
end

-- ---- Positions ----------------------------------------------------------------------------------------------

local function decimal(number)
    return string.format('%.0f', number)
end

local function parse(id)
    local epoch, offset = string.match(id, '^(%d+)%-(%d+)$')
    if not epoch or #epoch > 20 or #offset > 20 or string.match(id, '^0%d') or string.match(id, '%-0%d') then
        return nil
    end
    return { epoch = tonumber(epoch), offset = tonumber(offset), id = id, is_nothing = offset == NO_OFFSET }
end

local function is_after(a, b)
    return a.epoch > b.epoch or (a.epoch == b.epoch and a.offset > b.offset)
end

local last_epoch = 0

-- Later than all before: also two streams of one name within a millisecond have different ones.
local function new_epoch(after, now)
    last_epoch = math.max(now, after + 1, last_epoch + 1)
    return last_epoch
end

-- ---- Options ------------------------------------------------------------------------------------------------

local function fail(text)
    error({ err = 'ERR fantail: ' .. text })
end

local function number_option(least)
    return function(name, value)
        local number = string.match(value, '^%d+$') and #value <= 10 and tonumber(value)
        if not number or number < least then
            fail(name .. ' must be a whole number, at least ' .. least)
        end
        return number
    end
end

local HISTORY_OPTIONS = { size = number_option(0), ttl = number_option(1), position_ttl = number_option(1) }

local PUBLISH_OPTIONS = {
    size = HISTORY_OPTIONS.size,
    ttl = HISTORY_OPTIONS.ttl,
    position_ttl = HISTORY_OPTIONS.position_ttl,
    idempotency_window = number_option(1),
    priority = function(_, value)
        if value ~= 'high' and value ~= 'low' then
            fail('priority must be high or low')
        end
        return value
    end,
    idempotency_key = function(_, value)
        if value == '' or #value > 512 then
            fail('idempotency_key must have 1 to 512 bytes')
        end
        return value
    end,
}

-- What the namespaces say of the channel.
local function find_settings(key)
    local found
    local hash = redis.pcall('HGETALL', 'fantail:namespaces')
    for i = 1, #hash, 2 do
        local name = hash[i]
        if string.sub(key, 1, #name) == name and (not found or #name > #found.name) then
            local size, ttl, position_ttl = string.match(hash[i + 1], '^(%d+) (%d+) (%d+)')
            if size then
                found = {
                    name = name,
                    size = tonumber(size),
                    ttl = tonumber(ttl),
                    position_ttl = tonumber(position_ttl),
                }
            end
        end
    end
    return found or DEFAULTS
end

-- Names and values from args[2] on.
local function read_options(key, args, known)
    local options = {}
    for i = 2, #args, 2 do
        local name = args[i]
        if not known[name] then
            fail('unknown option "' .. name .. '"')
        elseif not args[i + 1] then
            fail('option "' .. name .. '" has no value')
        end
        options[name] = known[name](name, args[i + 1])
    end
    if not (options.size and options.ttl and options.position_ttl) then
        local settings = find_settings(key)
        for name in pairs(DEFAULTS) do
            options[name] = options[name] or settings[name]
        end
    end
    return options
end

-- ---- Streams ------------------------------------------------------------------------------------------------

local function open(key, options)
    return {
        key = key,
        stream = 'fantail:stream:{' .. key .. '}',
        meta = 'fantail:meta:{' .. key .. '}',
        options = options,
        now = now_ms(),
    }
end

-- The last id issued; nil when there is no stream.
local function last_position(stream)
    if redis.call('EXISTS', stream.stream) == 0 then
        return nil
    end
    local info = redis.call('XINFO', 'STREAM', stream.stream)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return parse(info[i + 1])
        end
    end
end

-- Appends and publishes. `id` is EPOCH-* or whole. False when the stream has to exist (`must`) and does not.
local function append(stream, id, must, kind, previous, priority, payload)
    local words = { 'XADD', stream.stream }
    if must then
        table.insert(words, 'NOMKSTREAM')
    end
    for _, word in ipairs({ 'MAXLEN', '=', stream.options.size, id, 't', decimal(stream.now) }) do
        table.insert(words, word)
    end
    if kind ~= 'm' then
        table.insert(words, 'k')
        table.insert(words, kind)
    end
    if previous then
        table.insert(words, 'v')
        table.insert(words, previous)
    end
    if priority == 'h' then
        table.insert(words, 'p')
        table.insert(words, 'h')
    end
    table.insert(words, 'd')
    table.insert(words, payload)
    id = redis.call(unpack(words))
    if id then
        redis.call('PUBLISH', stream.key, '\0\1' .. kind .. id .. ' ' .. (previous or '-') .. ' '
            .. decimal(stream.now) .. ' ' .. priority .. '\n' .. payload)
    end
    return id
end

-- At least so long from now.
local function live_for(stream, seconds)
    local promised = seconds * 1000
    local set = math.floor(promised * SPARE)
    local left = redis.call('PTTL', stream.stream)
    if left < promised or left > set then
        redis.call('PEXPIRE', stream.stream, decimal(set))
        redis.call('PEXPIRE', stream.meta, decimal(set))
    end
end

-- The first id of the first epoch of a stream that does not exist.
local function begin(stream)
    local epoch = decimal(new_epoch(0, stream.now))
    redis.call('SET', LIFE, decimal(stream.now), 'NX')
    redis.call('DEL', stream.meta)
    redis.call('HSET', stream.meta, 'run', current_run(), 'epoch', epoch, 'oldest', decimal(stream.now))
    return epoch .. '-0'
end

-- Begins a new epoch with a mark; `after`: an epoch that it has to be later than.
local function change_epoch(stream, last, after, kind)
    local epoch = decimal(new_epoch(math.max(last.epoch, after), stream.now))
    redis.call('HSET', stream.meta, 'run', current_run(), 'epoch', epoch, 'prev', last.id,
        'lost', kind == 'g' and '1' or '0')
    local left = redis.call('PTTL', stream.stream)
    if left > 0 then
        redis.call('PEXPIRE', stream.meta, left)
    end
    append(stream, epoch .. '-0', false, kind, last.id, '-', '')
    return epoch
end

-- ---- Age ----------------------------------------------------------------------------------------------------

-- What XRANGE returns, as we return it.
local function read_entry(raw)
    local fields = {}
    for i = 1, #raw[2], 2 do
        fields[raw[2][i]] = raw[2][i + 1]
    end
    return { raw[1], fields.k or 'm', fields.v or '', fields.t or '0', fields.p or '-', fields.d or '' }
end

local function is_old(stream, entry)
    return tonumber(entry[4]) + stream.options.ttl * 1000 <= stream.now
end

-- Removes the entries that are too old, but not marks directly before what is left: they tie it to what was seen
-- before them. Looks for them only when `oldest` says that there are some, which it does once a second at most.
local function trim(stream)
    local keep_ms = stream.options.ttl * 1000
    local oldest = tonumber(redis.call('HGET', stream.meta, 'oldest') or 0)
    if oldest + keep_ms > stream.now then
        return
    end
    local from, marks, left = '-', nil, nil
    repeat
        local raw = redis.call('XRANGE', stream.stream, from, '+', 'COUNT', WALK)
        for _, each in ipairs(raw) do
            local entry = read_entry(each)
            if not is_old(stream, entry) then
                left = entry
                break
            elseif entry[2] == 'm' then
                marks = nil
            else
                marks = marks or entry[1]
            end
            from = '(' .. entry[1]
        end
    until left or #raw < WALK
    if marks or left then
        redis.call('XTRIM', stream.stream, 'MINID', '=', marks or left[1])
    end
    local found = left and tonumber(left[4]) or stream.now
    redis.call('HSET', stream.meta, 'oldest', decimal(math.max(found, stream.now - keep_ms + 1000)))
end

-- The entries from `from` on, without those that are too old.
local function read_entries(stream, from)
    local entries = {}
    local is_fresh = false
    for _, each in ipairs(redis.call('XRANGE', stream.stream, from, '+')) do
        local entry = read_entry(each)
        if not is_fresh and not is_old(stream, entry) then
            is_fresh = true
        elseif not is_fresh and entry[2] == 'm' then
            entries = {}
        end
        if is_fresh or entry[2] ~= 'm' then
            table.insert(entries, entry)
        end
    end
    return entries
end

-- ---- Publishing ---------------------------------------------------------------------------------------------

local function append_message(stream, priority, payload)
    local meta = redis.call('HMGET', stream.meta, 'run', 'epoch')
    local id
    if meta[1] == current_run() then
        id = append(stream, meta[2] .. '-*', true, 'm', nil, priority, payload)
    end
    if not id then
        local last = last_position(stream)
        local first = last and change_epoch(stream, last, 0, 'b') .. '-*' or begin(stream)
        id = append(stream, first, false, 'm', nil, priority, payload)
    end
    live_for(stream, stream.options.position_ttl)
    trim(stream)
    return id
end

local function publish(keys, args)
    if #keys ~= 1 or #args < 1 then
        fail('usage: FCALL fantail_publish 1 CHANNEL PAYLOAD [NAME VALUE ...]')
    end
    local key, payload = keys[1], args[1]
    local options = read_options(key, args, PUBLISH_OPTIONS)
    local once = options.idempotency_key and 'fantail:once:{' .. key .. '}:' .. options.idempotency_key
    local id = once and redis.call('GET', once)
    if id then
        return id ~= '' and id
    end
    if options.size > 0 then
        id = append_message(open(key, options), options.priority == 'high' and 'h' or '-', payload)
    else
        redis.call('PUBLISH', key, payload)
        id = false
    end
    if once then
        redis.call('SET', once, id or '', 'EX', options.idempotency_window or ONCE_SECONDS)
    end
    return id
end

-- ---- Sync ---------------------------------------------------------------------------------------------------

-- What marks the loss that `seen` proves, if it proves one that is not marked yet.
local function find_mark(stream, last, seen)
    local meta = redis.call('HMGET', stream.meta, 'run', 'prev', 'lost')
    if is_after(seen, last) then
        -- The ids up to the one seen have been issued.
        return seen.epoch <= stream.now + CLOCKS_DIFFER_MS and function()
            change_epoch(stream, last, seen.epoch, 'g')
        end
    elseif seen.epoch < last.epoch and meta[2] and meta[3] ~= '1' and is_after(seen, parse(meta[2])) then
        return function()
            if meta[1] ~= current_run() then
                change_epoch(stream, last, 0, 'g')
            else
                redis.call('HSET', stream.meta, 'lost', '1')
                append(stream, decimal(last.epoch) .. '-*', false, 'g', nil, '-', '')
            end
        end
    end
end

local known_run, known_since

-- Since when nothing can have come and gone before `epoch`; nil when that is not known.
local function calm_before(stream, epoch)
    local run = current_run()
    if run ~= known_run then
        known_run, known_since = run, stream.now
    end
    local life = tonumber(redis.call('GET', LIFE) or nil)
    return life and math.max(life, known_since, epoch - stream.options.position_ttl * 1000)
end

local function goes_on(entry, seen)
    return entry[1] == decimal(seen.epoch) .. '-' .. decimal(seen.offset + 1) or entry[3] == seen.id
end

local function read_nothing(stream, calm)
    -- A stream begins after it.
    last_epoch = math.max(last_epoch, stream.now)
    return { decimal(stream.now) .. '-' .. NO_OFFSET, {}, decimal(calm) }
end

local function read_all(stream, last)
    local entries = read_entries(stream, '-')
    local first = entries[1] and parse(entries[1][1])
    local calm = first and first.offset == 0 and entries[1][3] == '' and calm_before(stream, first.epoch)
    return { last.id, entries, calm and decimal(calm) or '' }
end

local function read_stream(stream, last, seen)
    if seen and seen.id == last.id then
        return { last.id, {}, '' }
    elseif seen and is_after(last, seen) then
        local entries = read_entries(stream, '(' .. seen.id)
        if entries[1] and goes_on(entries[1], seen) then
            return { last.id, entries, '' }
        end
    end
    return read_all(stream, last)
end

-- The stream, what was seen of it, if that is an entry, and the last id issued.
local function open_to_read(keys, args)
    if #keys ~= 1 or #args < 1 then
        fail("usage: FCALL fantail_sync 1 CHANNEL POSITION|'' [NAME VALUE ...]")
    end
    local seen = args[1] ~= '' and parse(args[1])
    if seen == nil then
        fail('a position is EPOCH-OFFSET, or empty')
    end
    local options = read_options(keys[1], args, HISTORY_OPTIONS)
    if options.size == 0 then
        fail('this channel has no history')
    end
    local stream = open(keys[1], options)
    return stream, seen and not seen.is_nothing and seen, last_position(stream)
end

local function read(keys, args)
    local stream, seen, last = open_to_read(keys, args)
    local calm = not last and calm_before(stream, stream.now)
    if last and not (seen and find_mark(stream, last, seen)) then
        return read_stream(stream, last, seen)
    end
    return calm and read_nothing(stream, calm) or {}
end

local function sync(keys, args)
    local stream, seen, last = open_to_read(keys, args)
    if not last then
        redis.call('SET', LIFE, decimal(stream.now), 'NX')
        return read_nothing(stream, calm_before(stream, stream.now))
    end
    local mark = seen and find_mark(stream, last, seen)
    if mark then
        mark()
    end
    return read_stream(stream, last_position(stream), seen)
end

-- ---- The library --------------------------------------------------------------------------------------------

-- An error of ours or of a command becomes the reply as it is; left to itself Redis adds where it was raised. Redis 7
-- gives pcall its text, later ones may give the table.
local function answering(callback)
    return function(keys, args)
        local is_fine, result = pcall(callback, keys, args)
        if is_fine then
            return result
        end
        local text = type(result) == 'table' and result.err or result
        if not string.match(text, '^%u+ ') then
            error(text)
        end
        return { err = text }
    end
end

redis.register_function('fantail_publish', answering(publish))
redis.register_function('fantail_sync', answering(sync))
redis.register_function({
    function_name = 'fantail_read',
    callback = answering(read),
    flags = { 'no-writes' },
})
redis.register_function({
    function_name = 'fantail_version',
    callback = function()
        return VERSION
    end,
    flags = { 'no-writes' },
})
