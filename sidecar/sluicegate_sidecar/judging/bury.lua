-- Moves one session from the queue to the dead letters, with the reason.
-- KEYS: queue, dead, seen
-- ARGV: group, entry id, session id ('' = unreadable), reason, UTC day of the recording ('' = not known),
--       1 if its content may stay, msgpack FailedJudgement ('' = unreadable)
-- Returns 1, or 0 if the session is no longer waiting.
local queue, dead, seen = KEYS[1], KEYS[2], KEYS[3]
local group, entry_id, session_id, reason, day, content, failed = unpack(ARGV)

local entry = redis.call('XRANGE', queue, entry_id, entry_id)[1]
if not entry then
  return 0
end
local payload = ''
for i = 1, #entry[2], 2 do
  if entry[2][i] == 'd' and content == '1' then
    payload = entry[2][i + 1]
  end
end
-- A full Redis refuses a script at its first write, if that one needs memory, and no later one: this one needs none.
redis.call('XDEL', dead, '0-1')
redis.call('XADD', dead, '*', 'd', payload, 'session', session_id, 'reason', reason, 'day', day,
  'failed', failed)
if session_id ~= '' then
  redis.call('HSET', seen, session_id, 'd')
  if redis.call('TTL', seen) < 0 then
    redis.call('EXPIRE', seen, 691200) -- The 8 days of record.lua: the session waited for longer, or Redis lost data.
  end
end
redis.call('XACK', queue, group, entry_id)
redis.call('XDEL', queue, entry_id)
return 1
