-- What record.lua and close.lua have in common, put before both: the end of a session that is to be acknowledged.

local function is_full(queue, payload, longest)
  return payload ~= '' and redis.call('XLEN', queue) >= tonumber(longest)
end

-- Queues a session for the judge, or counts it if it is not sampled (no payload); remembers its id for so many seconds.
local function finish(seen, queue, account, session_id, payload, remember)
  if payload == '' then
    redis.call('HSET', seen, session_id, 'n')
    redis.call('HINCRBY', account, 'not_sampled', 1)
  else
    redis.call('XADD', queue, '*', 'd', payload)
    redis.call('HSET', seen, session_id, 'q')
  end
  redis.call('EXPIRE', seen, remember)
end
