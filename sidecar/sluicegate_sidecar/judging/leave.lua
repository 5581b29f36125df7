-- Deletes a consumer that has nothing pending: XGROUP DELCONSUMER alone would throw pending sessions away.
-- KEYS: queue    ARGV: group, consumer
local summary = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #summary == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return #summary
