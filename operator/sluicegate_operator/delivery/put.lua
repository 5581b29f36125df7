-- Writes one field of the snapshot if nobody else has written it since `expected`.
-- KEYS: snapshot, rollout
-- ARGV: field, expected version, value, gates ('' = leave), rollout field ('' = none), rollout value, channel, notice
-- Returns 1, or 0 if the stored version is another one. An absent field is free: Redis may have lost it.
local snapshot, rollout = KEYS[1], KEYS[2]
local field, expected, value, gates = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

local stored = redis.call('HGET', snapshot, field)
if stored and cmsgpack.unpack(stored).version ~= expected then
  return 0
end
redis.call('HSET', snapshot, field, value)
if gates ~= '' then
  redis.call('HSET', snapshot, 'gates', gates)
end
if ARGV[5] ~= '' then
  redis.call('HSET', rollout, ARGV[5], ARGV[6])
end
redis.call('HINCRBY', snapshot, 'revision', 1)
redis.pcall('PUBLISH', ARGV[7], ARGV[8])
return 1
