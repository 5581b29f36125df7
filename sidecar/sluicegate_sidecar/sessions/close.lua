-- Closes an open session, if it is still as the caller read it: queues it, or counts it as not sampled.
-- KEYS: seen on the day of the closing, queue, account, open, open session
-- ARGV: session id, id of the last entry that was read, payload ('' = not sampled), longest queue, seconds to remember
--       the id, close only if the last event is not after this time (ms; '' = in any case)
-- Returns 'closed', 'gone', 'moved', 'active' or 'full'.
local seen, queue, account, open, open_session = unpack(KEYS)
local session_id, last_read, payload, longest, remember, idle_since = unpack(ARGV)

local newest = redis.call('XREVRANGE', open_session, '+', '-', 'COUNT', 1)[1]
if not newest then
  return 'gone'
end
if newest[1] ~= last_read then
  return 'moved'
end
if idle_since ~= '' and tonumber(redis.call('ZSCORE', open, session_id) or 0) > tonumber(idle_since) then
  return 'active'
end
if is_full(queue, payload, longest) then
  return 'full'
end
redis.call('ZREM', open, session_id)
redis.call('DEL', open_session)
finish(seen, queue, account, session_id, payload, remember)
return 'closed'
