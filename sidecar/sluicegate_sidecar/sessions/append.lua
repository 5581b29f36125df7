-- Keeps the next items of an open session, each once, and opens the session with the first call.
-- KEYS: seen today, seen yesterday, seen tomorrow, account, open, open session, late
-- ARGV: session id, start (msgpack), '1' if sampled, '1' to take gaps, limits: open sessions, items, bytes,
--       items of `late`, sequence of the first item, then the items
-- Returns {'kept', last sequence, sampled}, {'closed', sampled}, {'gap', last sequence}, {'full'} or {'large'}.
-- Idle is who was not heard for long by the clock here: those of the sidecars and of the reaper may differ.
-- The entry of item k is `0-(k+1)`, that of the start `0-1`: Redis itself takes no item twice.
local seen_today, seen_yesterday, seen_tomorrow, account, open, open_session, late = unpack(KEYS)
local session_id, start, sampled, gaps = unpack(ARGV)
local most_open, most_items, most_bytes, most_late, first = unpack(ARGV, 5, 9)
local FIRST_ITEM = 10

local before = redis.call('HGET', seen_today, session_id) or redis.call('HGET', seen_yesterday, session_id)
  or redis.call('HGET', seen_tomorrow, session_id)
if before then
  for i = FIRST_ITEM, #ARGV do
    redis.call('XADD', late, 'MAXLEN', '~', most_late, '*', 'session', session_id, 'd', ARGV[i])
    redis.call('HINCRBY', account, 'late', 1)
  end
  return {'closed', before == 'n' and 0 or 1}
end

local newest = redis.call('XREVRANGE', open_session, '+', '-', 'COUNT', 1)[1]
local last, bytes = 0, 0
if newest then
  last = tonumber(newest[1]:match('%-(%d+)$')) - 1
  bytes = tonumber(newest[2][4])
  local first_entry = redis.call('XRANGE', open_session, '-', '+', 'COUNT', 1)[1]
  sampled = first_entry[2][6] or sampled
elseif redis.call('ZCARD', open) >= tonumber(most_open) then
  return {'full'}
end

local sequence = tonumber(first)
if #ARGV >= FIRST_ITEM and sequence > last + 1 and gaps ~= '1' then
  return {'gap', last}
end
local wanted, size = {}, bytes
for i = FIRST_ITEM, #ARGV do
  local number = sequence + i - FIRST_ITEM
  if number > last then
    size = size + #ARGV[i]
    wanted[#wanted + 1] = {number, ARGV[i], size}
  end
end
if size > tonumber(most_bytes) or (#wanted > 0 and wanted[#wanted][1] > tonumber(most_items)) then
  return {'large'}
end

if not newest then
  redis.call('XADD', open_session, '0-1', 'd', start, 'bytes', 0, 'sampled', sampled)
  redis.call('HINCRBY', account, 'acknowledged', 1)
end
for _, item in ipairs(wanted) do
  redis.call('XADD', open_session, string.format('0-%.0f', item[1] + 1), 'd', item[2], 'bytes', item[3])
  last = item[1]
end
local time = redis.call('TIME')
redis.call('ZADD', open, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), session_id)
return {'kept', last, tonumber(sampled)}
