-- Acknowledges one whole session, once: remembers its id, and queues it if it is to be judged.
-- KEYS: seen today, seen yesterday, seen tomorrow, queue, account, open, open session
-- ARGV: session id, payload ('' = not sampled), longest queue, seconds to remember the id
-- Returns 'accepted', 'duplicate-sampled', 'duplicate-unsampled' or 'full'.
local seen_today, seen_yesterday, seen_tomorrow, queue, account, open, open_session = unpack(KEYS)
local session_id, payload, longest, remember = unpack(ARGV)

local before = redis.call('HGET', seen_today, session_id) or redis.call('HGET', seen_yesterday, session_id)
  or redis.call('HGET', seen_tomorrow, session_id)
if before then
  return before == 'n' and 'duplicate-unsampled' or 'duplicate-sampled'
end
if is_full(queue, payload, longest) then
  return 'full'
end
finish(seen_today, queue, account, session_id, payload, remember)
-- A session that was open until now is counted already; the whole transcript takes the place of its items.
if redis.call('ZREM', open, session_id) == 1 then
  redis.call('DEL', open_session)
else
  redis.call('HINCRBY', account, 'acknowledged', 1)
end
return 'accepted'
