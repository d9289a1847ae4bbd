"""The fold's side of the broker: ownership, fenced commits and dead letters, as Lua (see `scripts`).

The fencing token is ``<count>-<nonce>``: the count orders owners, and the nonce keeps an owner from before a wiped
broker from being taken for one from after it, whose count starts again at 1.
"""

from __future__ import annotations

from meta_learning.streams.scripts import COMMON

# KEYS: lease, counters, then stream, offsets, committed of each stream.
# ARGV: role, owner, lease_ms, nonce, then stream names. Returns the token, or '' while another owner's lease lives.
# The fold is registered as a reader right here: trimming must not pass a role that has not committed yet.
ACQUIRE = (
    COMMON
    + """
local role, owner, now = ARGV[1], ARGV[2], now_ms()
local held = redis.call('HMGET', KEYS[1], 'owner', 'expires_ms')
if held[1] and held[1] ~= '' and held[1] ~= owner and tonumber(held[2]) > now then return '' end
local token = redis.call('HINCRBY', KEYS[1], 'count', 1) .. '-' .. ARGV[4]
redis.call('HSET', KEYS[1], 'token', token, 'owner', owner, 'expires_ms', integer(now + tonumber(ARGV[3])))
for at = 5, #ARGV do
  local name, base = ARGV[at], 3 + (at - 5) * 3
  local stream, offsets, committed = KEYS[base], KEYS[base + 1], KEYS[base + 2]
  revive(stream, KEYS[2], name)
  local entries = tonumber(redis.call('HGET', KEYS[2], 'entries_' .. name) or '0')
  redis.call('HSETNX', committed, role, integer(math.max(0, entries - redis.call('XLEN', stream))))
  if redis.call('HSETNX', offsets, role, '0-0') == 0 and redis.call('EXISTS', stream) == 1 then
    -- An offset beyond the last id belongs to a stream that is no more: everything in this one is still to be folded.
    local info, last = redis.call('XINFO', 'STREAM', stream), nil
    for field = 1, #info, 2 do
      if info[field] == 'last-generated-id' then last = info[field + 1] end
    end
    if last and before(last, redis.call('HGET', offsets, role)) then
      redis.call('HSET', offsets, role, '0-0')
      redis.call('HSET', committed, role, integer(math.max(0, entries - redis.call('XLEN', stream))))
      count(KEYS[2], 'recoveries', 1)
    end
  end
end
return token
"""
)

FENCE = """
-- False when a newer owner exists. A lease that ran out, but that nobody took, still holds.
local function mine(lease, counters, token)
  local current = redis.call('HGET', lease, 'token')
  if current == token then return true end
  if not current then
    redis.call('HSET', lease, 'token', '', 'count', 0)
    count(counters, 'recoveries', 1)
  end
  return false
end
local function prolong(lease, lease_ms)
  redis.call('HSET', lease, 'expires_ms', integer(now_ms() + tonumber(lease_ms)))
end
"""

# KEYS: lease, counters. ARGV: token, lease_ms. Returns 1, or 0 when a newer owner exists.
RENEW = (
    COMMON
    + FENCE
    + """
if not mine(KEYS[1], KEYS[2], ARGV[1]) then return 0 end
prolong(KEYS[1], ARGV[2])
return 1
"""
)

# KEYS: lease. ARGV: token.
RELEASE = """
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'owner', '', 'expires_ms', '0')
return 1
"""

# KEYS: lease, counters, state, events, pointers, dead letters, their sources,
#       offsets and committed of feedback, offsets and committed of events, then one key an emitted event.
# ARGV: token, lease_ms, role, window of outcomes, window_s, then five counted sections:
#       state (key, '1' set or '0' delete, value), offsets (stream, offset, count), emit (type, body),
#       pointers (name, value), parked (stream, id, type, body, traceparent, reason).
# Returns 1, or 0 (nothing took effect) when a newer owner exists.
COMMIT = (
    COMMON
    + FENCE
    + """
if not mine(KEYS[1], KEYS[2], ARGV[1]) then return 0 end
local role, window_s, at = ARGV[3], ARGV[5], 5
local function take() at = at + 1; return ARGV[at] end
prolong(KEYS[1], ARGV[2])
redis.call('HSET', KEYS[1], 'window', ARGV[4])

for _ = 1, tonumber(take()) do
  local key, is_set, value = take(), take(), take()
  if is_set == '1' then redis.call('HSET', KEYS[3], key, value) else redis.call('HDEL', KEYS[3], key) end
end

local readers = {feedback = {KEYS[8], KEYS[9]}, events = {KEYS[10], KEYS[11]}}
for _ = 1, tonumber(take()) do
  local name, offset, folded = take(), take(), tonumber(take())
  local entries = tonumber(redis.call('HGET', KEYS[2], 'entries_' .. name) or '0')
  local last = redis.call('HGET', KEYS[2], 'last_' .. name)
  local done = tonumber(redis.call('HGET', readers[name][2], role) or '0') + folded
  -- At the end of the stream the lag is zero, whatever was miscounted on the way there (a stream that vanished).
  if done > entries or (last and not before(offset, last)) then done = entries end
  redis.call('HSET', readers[name][1], role, offset)
  redis.call('HSET', readers[name][2], role, integer(done))
end

local emitted, last = 0, nil
local emit_count = tonumber(take())
if emit_count > 0 then revive(KEYS[4], KEYS[2], 'events') end
for item = 1, emit_count do
  local kind, body = take(), take()
  if redis.call('EXISTS', KEYS[11 + item]) == 0 then
    last = add(KEYS[4], kind, body, '')
    redis.call('SET', KEYS[11 + item], last, 'EX', window_s)
    emitted = emitted + 1
  end
end
note_added(KEYS[2], 'events', emitted, last)
count(KEYS[2], 'emitted', emitted)

for _ = 1, tonumber(take()) do
  local name, value = take(), take()
  redis.call('HSET', KEYS[5], name, value)
end

local parked = 0
for _ = 1, tonumber(take()) do
  local stream, id, kind, body, traceparent, reason = take(), take(), take(), take(), take(), take()
  local source = stream .. '/' .. id
  if redis.call('HEXISTS', KEYS[7], source) == 0 then
    local dead_id = redis.call('XADD', KEYS[6], '*', 'stream', stream, 'id', id, 'type', kind, 'body', body,
      'traceparent', traceparent, 'reason', reason, 'role', role)
    redis.call('HSET', KEYS[7], source, dead_id)
    parked = parked + 1
  end
end
count(KEYS[2], 'parked', parked)
return 1
"""
)
