-- Scores one session, once: log, window, gates, halt and acknowledgement in a single step. Or, as a tick, moves the
-- window of an agent that nobody calls. Redis undoes nothing of a script that fails: all checks come before all writes.
--
-- KEYS: queue, log, events, gates, sums, halts, snapshot, window, seen on the day of the recording (score only)
-- ARGV: 'score' or 'tick', log id ('*', or the id of the entry that is replayed), notices channel,
--       the caller's packed GateTable; for a score also consumer group, queue entry id, msgpack ScoreRecord
-- Returns {'scored', log id, 1 if it counts in the window}, {'duplicate', log id}, {'gone'} or {'ticked'}.
--
-- One script in four parts, which window.py joins: what it is called with, window.lua, gates.lua, score.lua.

local call, encode, decode, floor = redis.call, cmsgpack.pack, cmsgpack.unpack, math.floor
local queue, log, events, gates, sums, halts, snapshot, window, seen = unpack(KEYS)
local mode, log_id, channel, callers_table, group, entry_id, packed_record = unpack(ARGV)
