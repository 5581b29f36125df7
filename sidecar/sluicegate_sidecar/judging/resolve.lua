-- Ends one dead letter: back into the queue, or thrown away and counted as erased.
-- KEYS: dead, queue, seen on the day of the recording, account
-- ARGV: 'retry' or 'drop', entry id, session id ('' = unreadable)
-- Returns 1, or 0 if it is no longer there.
local dead, queue, seen, account = unpack(KEYS)
local how, entry_id, session_id = unpack(ARGV)

local entry = redis.call('XRANGE', dead, entry_id, entry_id)[1]
if not entry then
  return 0
end
local known = session_id ~= '' and redis.call('HEXISTS', seen, session_id) == 1
if how == 'retry' then
  redis.call('XADD', queue, '*', 'd', entry[2][2])
else
  redis.call('HINCRBY', account, 'erased', 1)
end
if known then
  redis.call('HSET', seen, session_id, how == 'retry' and 'q' or 'e')
end
redis.call('XDEL', dead, entry_id)
return 1
