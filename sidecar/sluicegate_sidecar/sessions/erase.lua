-- Deletes one entry of a stream, and counts its session as erased if the account finds it there.
-- KEYS: stream, account    ARGV: entry id, 1 if it counts
-- Returns 1, or 0 if the entry is no longer there.
local deleted = redis.call('XDEL', KEYS[1], ARGV[1])
if deleted == 1 and ARGV[2] == '1' then
  redis.call('HINCRBY', KEYS[2], 'erased', 1)
end
return deleted
