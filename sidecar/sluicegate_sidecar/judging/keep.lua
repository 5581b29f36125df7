-- A sign of life for jobs in hand: each counts as delivered just now, if it is still this consumer's.
-- KEYS: queue    ARGV: group, consumer, then entry ids
-- Returns how many are.
local queue, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local kept = 0
for i = 3, #ARGV do
  if #redis.call('XPENDING', queue, group, ARGV[i], ARGV[i], 1, consumer) == 1 then
    redis.call('XCLAIM', queue, group, consumer, 0, ARGV[i], 'IDLE', 0, 'JUSTID')
    kept = kept + 1
  end
end
return kept
