"""What the broker does atomically, as Lua over the Redis 7.0 command subset: one script, one slot, all keys declared.

A script's effects are replicated and written to the append-only file as one transaction: after a crash all of them are
there or none is. Scripts keep what must agree in one place: an entry is never added without being counted.
"""

from __future__ import annotations

COMMON = """
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local function integer(number) return string.format('%.0f', number) end
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function before(left, right)
  local left_ms, left_seq = parse(left)
  local right_ms, right_seq = parse(right)
  if left_ms ~= right_ms then return left_ms < right_ms end
  return left_seq < right_seq
end
local function count(counters, name, by)
  if by ~= 0 then redis.call('HINCRBY', counters, name, by) end
end
-- A stream key that vanished comes back empty, but never with ids below those that folds have already passed.
local function revive(stream, counters, name)
  if redis.call('EXISTS', stream) == 1 then return end
  local last = redis.call('HGET', counters, 'last_' .. name)
  if not last then return end
  redis.call('XADD', stream, last, 'type', 'revived')
  redis.call('XDEL', stream, last)
  count(counters, 'recoveries', 1)
end
local function add(stream, kind, body, traceparent)
  if traceparent == '' then return redis.call('XADD', stream, '*', 'type', kind, 'body', body) end
  return redis.call('XADD', stream, '*', 'type', kind, 'body', body, 'traceparent', traceparent)
end
local function note_added(counters, name, added, last)
  if added == 0 then return end
  count(counters, 'entries_' .. name, added)
  redis.call('HSET', counters, 'last_' .. name, last)
end
"""

# KEYS: feedback, counters, loops, committed, then one identity key an item.
# ARGV: backlog_count_max, window_s, traceparent, refused count, then loop, identity, type, body of each item.
# Returns whether a loop was created, then (outcome, entry id) of each item.
APPEND = (
    COMMON
    + """
local backlog_max, window_s, traceparent = tonumber(ARGV[1]), ARGV[2], ARGV[3]
revive(KEYS[1], KEYS[2], 'feedback')
local slowest
for _, committed in ipairs(redis.call('HVALS', KEYS[4])) do
  committed = tonumber(committed)
  if not slowest or committed < slowest then slowest = committed end
end
local entries = tonumber(redis.call('HGET', KEYS[2], 'entries_feedback') or '0')
local room = backlog_max - (entries - (slowest or 0))
local tally = {accepted = 0, duplicate = 0, conflict = 0, back_pressure = 0}
local reply, created, last = {0}, 0, nil
for item = 1, #KEYS - 4 do
  local at = 4 + (item - 1) * 4
  local key, identity = KEYS[4 + item], ARGV[at + 2]
  local known = redis.call('GET', key)
  local taken, id = 'accepted', ''
  if known then
    if string.sub(known, 1, #identity) == identity then
      taken, id = 'duplicate', string.sub(known, #identity + 2)
    else
      taken = 'conflict'
    end
  elseif room <= 0 then
    taken = 'back_pressure'
  else
    id = add(KEYS[1], ARGV[at + 3], ARGV[at + 4], traceparent)
    redis.call('SET', key, identity .. ' ' .. id, 'EX', window_s)
    created = created + redis.call('SADD', KEYS[3], ARGV[at + 1])
    room, last = room - 1, id
  end
  tally[taken] = tally[taken] + 1
  reply[#reply + 1] = taken
  reply[#reply + 1] = id
end
note_added(KEYS[2], 'feedback', tally.accepted, last)
for name, by in pairs(tally) do count(KEYS[2], name, by) end
count(KEYS[2], 'too_many_loops', tonumber(ARGV[4]))
reply[1] = created
return reply
"""
)

# KEYS: the set of all loops. ARGV: loops_count_max, then loops. Returns 1 for each loop that is or was admitted.
ADMIT = """
local room = tonumber(ARGV[1]) - redis.call('SCARD', KEYS[1])
local reply = {}
for at = 2, #ARGV do
  local known = redis.call('SISMEMBER', KEYS[1], ARGV[at])
  if known == 0 and room > 0 then
    redis.call('SADD', KEYS[1], ARGV[at])
    known, room = 1, room - 1
  end
  reply[#reply + 1] = known
end
return reply
"""

# KEYS: stream, counters, pointers, then one key an event. ARGV: stream's name, counter, window_s, events count,
# then type and body of each event, then names and values of pointers.
# Returns how many were new, then each event's entry id. Pointers move only with something new.
SAY = (
    COMMON
    + """
local name, window_s, events = ARGV[1], ARGV[3], tonumber(ARGV[4])
revive(KEYS[1], KEYS[2], name)
local reply, added, last = {0}, 0, nil
for item = 1, events do
  local key, at = KEYS[3 + item], 4 + (item - 1) * 2
  local id = redis.call('GET', key)
  if not id then
    id = add(KEYS[1], ARGV[at + 1], ARGV[at + 2], '')
    redis.call('SET', key, id, 'EX', window_s)
    added, last = added + 1, id
  end
  reply[#reply + 1] = id
end
note_added(KEYS[2], name, added, last)
count(KEYS[2], ARGV[2], added)
if added > 0 then
  for at = 5 + events * 2, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1]) end
end
reply[1] = added
return reply
"""
)

# KEYS: dead letters, their sources, counters, feedback, events. ARGV: dead letter ids. Returns how many were replayed.
REPLAY = (
    COMMON
    + """
local streams, replayed = {feedback = KEYS[4], events = KEYS[5]}, 0
for _, dead_id in ipairs(ARGV) do
  local found = redis.call('XRANGE', KEYS[1], dead_id, dead_id)[1]
  if found then
    local letter = {}
    for at = 1, #found[2], 2 do letter[found[2][at]] = found[2][at + 1] end
    local stream = streams[letter.stream]
    revive(stream, KEYS[3], letter.stream)
    note_added(KEYS[3], letter.stream, 1, add(stream, letter.type, letter.body, letter.traceparent))
    redis.call('XDEL', KEYS[1], dead_id)
    redis.call('HDEL', KEYS[2], letter.stream .. '/' .. letter.id)
    replayed = replayed + 1
  end
end
count(KEYS[3], 'replayed', replayed)
return replayed
"""
)

# KEYS: stream, counters, offsets. ARGV: stream's name, up_to ('' only asks). Returns the smallest offset of all
# readers (folds by their hash, relays by their groups), then how many entries were dropped.
TRIM = (
    COMMON
    + """
local low
local function bound(id) if not low or before(id, low) then low = id end end
local function named(pairs_list)
  local fields = {}
  for at = 1, #pairs_list, 2 do fields[pairs_list[at]] = pairs_list[at + 1] end
  return fields
end
local exists = redis.call('EXISTS', KEYS[1]) == 1
for _, offset in ipairs(redis.call('HVALS', KEYS[3])) do bound(offset) end
if exists then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local fields = named(group)
    bound(fields['last-delivered-id'])
    if tonumber(fields['pending']) > 0 then
      local oldest = redis.call('XPENDING', KEYS[1], fields['name'])[2]
      local previous = redis.call('XREVRANGE', KEYS[1], '(' .. oldest, '-', 'COUNT', 1)[1]
      bound(previous and previous[1] or '0-0')
    end
  end
end
low = low or '0-0'
local dropped, up_to = 0, ARGV[2]
if up_to ~= '' and exists then
  if before(low, up_to) then up_to = low end
  local ms, seq = parse(up_to)
  -- The first id that is kept. Beyond 2^53 a Lua number cannot count by ones: no such id was ever handed out.
  local first = seq < 2^53 and integer(ms) .. '-' .. integer(seq + 1) or integer(ms + 1) .. '-0'
  dropped = redis.call('XTRIM', KEYS[1], 'MINID', '=', first)
  count(KEYS[2], 'trimmed', dropped)
  count(KEYS[2], 'trimmed_' .. ARGV[1], dropped)
end
return {low, dropped}
"""
)

# KEYS: events, counters. ARGV: group, '1' when it has been there before. Returns whether it had to be made.
# A group starts at the start of the stream, never at its end: what was said before it existed counts too.
GROUP = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    for at = 1, #group, 2 do
      if group[at] == 'name' and group[at + 1] == ARGV[1] then return 0 end
    end
  end
end
redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if ARGV[2] == '1' then redis.call('HINCRBY', KEYS[2], 'recoveries', 1) end
return 1
"""

# KEYS: events. ARGV: group.
UNGROUP = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
"""
