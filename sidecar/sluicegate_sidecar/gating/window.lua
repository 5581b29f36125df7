-- Scores one session, once: log, window, gates, halt and acknowledgement in a single step. Or, as a tick, moves the
-- window of an agent that nobody calls. Redis undoes nothing of a script that fails: all checks come before all writes.
--
-- KEYS: queue, log, events, gates, halts, snapshot, window, seen on the day of the recording (score only)
-- ARGV: 'score' or 'tick', log id ('*', or the id of the entry that is replayed), notices channel,
--       the caller's msgpack GateTable; for a score also consumer group, queue entry id, msgpack ScoreRecord
-- Returns {'scored', log id, 1 if it counts in the window}, {'duplicate', log id}, {'gone'} or {'ticked'}.
--
-- The window is a hash: `epoch`, the 360th of the window that it has been moved to; epoch modulo 360 -> {series ->
-- sums} of the sessions that ended in that 360th; series -> {sums, control's series} of all of the window. Sums are
-- flat and hold integers only, so that what was added can be subtracted without a trace: sessions, then for each
-- metric of the table how many scores, their sum, and the sum of their squares.

local call, encode, decode, floor = redis.call, cmsgpack.pack, cmsgpack.unpack, math.floor
local queue, log, events, gates, halts, snapshot, window, seen = unpack(KEYS)
local mode, log_id, channel, callers_table, group, entry_id, packed_record = unpack(ARGV)

local AGENT, OVERALL, SCALE, BUCKETS = '*', 'overall_average', 2520, 360
local SLACK_MS, KEEP_EVENTS, REMEMBER_SECONDS = 3600000, 10000, 691200

-- The control plane's own table first: callers with different snapshots would make the gates flap.
local rules = decode(call('HGET', snapshot, 'gates') or callers_table)
local window_ms = rules.window_seconds * 1000
local index, totals, notices = {}, {}, {}
for i, metric in ipairs(rules.metrics) do
  index[metric] = i
end

-- A window never mixes judge revisions, nor lengths: the caller's must be the table's.
local function is_callers_window()
  local name = ':window:' .. rules.revision .. ':' .. string.format('%.0f', rules.window_seconds)
  return window:sub(-#name) == name
end

-- Names the first field that is wrong. A metric that is absent does not apply: MessagePack's nil leaves no key in Lua.
local function fault_in(record)
  if type(record) ~= 'table' then
    return 'record: not a map'
  end
  for _, field in ipairs({'session_id', 'judge_revision', 'experiment', 'run_id', 'variant', 'control'}) do
    if type(record[field]) ~= 'string' then
      return field .. ': not a string'
    end
  end
  local ended_at = record.ended_at
  if type(ended_at) ~= 'number' or not (ended_at >= 0 and ended_at < math.huge) then
    return 'ended_at: not a time in seconds'
  elseif type(record.scores) ~= 'table' then
    return 'scores: not a map'
  end
  for metric, score in pairs(record.scores) do
    if type(score) ~= 'number' or score < 1 or score > 5 or score ~= floor(score) then
      return 'scores.' .. tostring(metric) .. ': not an integer from 1 to 5'
    elseif record.judge_revision == rules.revision and (metric == OVERALL or not index[metric]) then
      return 'scores.' .. tostring(metric) .. ': not a metric of the judge revision ' .. rules.revision
    end
  end
end

local function ms_of(stream_id)
  return tonumber(stream_id:match('^%d+'))
end

local function epoch_of(ms)
  return floor(ms * BUCKETS / window_ms)
end

local function add(to, sums, sign)
  for i = 1, #sums do
    to[i] = (to[i] or 0) + sign * sums[i]
  end
end

-- Totals of a series, read once.
local function totals_of(series)
  if not totals[series] then
    local packed = call('HGET', window, series)
    totals[series] = packed and decode(packed) or {sums = {0}}
  end
  return totals[series]
end

-- Subtracts the buckets of the given epochs from the totals.
local function expire(first, last)
  local slots = {}
  for epoch = first, last do
    slots[#slots + 1] = epoch % BUCKETS
  end
  for _, packed in ipairs(call('HMGET', window, unpack(slots))) do
    for series, sums in pairs(packed and decode(packed) or {}) do
      add(totals_of(series).sums, sums, -1)
      add(totals_of(AGENT).sums, sums, -1)
    end
  end
  call('HDEL', window, unpack(slots))
end

-- Moves the window to `now`, never back; returns its epoch, and whether that is a new one.
local function slide(now)
  local before = tonumber(call('HGET', window, 'epoch') or nil)
  local epoch = math.max(epoch_of(now), before or 0)
  if epoch == before then
    return epoch, false
  elseif before and epoch - before < BUCKETS then
    expire(before - BUCKETS + 1, epoch - BUCKETS)
  else
    call('DEL', window)
  end
  call('HSET', window, 'epoch', string.format('%.0f', epoch))
  call('PEXPIRE', window, string.format('%.0f', window_ms + SLACK_MS))
  return epoch, true
end

-- Sums of one session. The overall average is an integer in units of 1/2520, exact for up to ten metrics.
local function sums_of(scores)
  local sums, count, total = {1}, 0, 0
  for i, metric in ipairs(rules.metrics) do
    local score = scores[metric]
    count, total = count + (score and 1 or 0), total + (score or 0)
    sums[3 * i - 1], sums[3 * i], sums[3 * i + 1] = score and 1 or 0, score or 0, score and score * score or 0
  end
  local i, overall = index[OVERALL], total * SCALE / count
  if i and count > 0 then
    sums[3 * i - 1], sums[3 * i], sums[3 * i + 1] = 1, overall, overall * overall
  end
  return sums
end

-- Puts a session into its bucket and into the totals. Only a variant beside a known control can be halted, now or at
-- a later tick, so its totals remember the control's series.
local function count_in(series, record, epoch)
  local slot, sums = epoch % BUCKETS, sums_of(record.scores)
  local packed = call('HGET', window, slot)
  local bucket = packed and decode(packed) or {}
  bucket[series] = bucket[series] or {}
  add(bucket[series], sums, 1)
  call('HSET', window, slot, encode(bucket))
  local total, control = totals_of(series), record.control
  add(total.sums, sums, 1)
  add(totals_of(AGENT).sums, sums, 1)
  if record.experiment ~= '' and record.variant ~= '' and control ~= '' and record.variant ~= control then
    total.control = record.experiment .. '/' .. record.run_id .. '/' .. control
  end
end

-- summarize() of sluicegate.gate, in the same order of operations: count, mean, lower and upper bound.
local function summarize(sums, metric)
  local i = index[metric]
  local count = i and sums[3 * i - 1] or 0
  if count == 0 then
    return 0
  end
  local scale, total, squares = metric == OVERALL and SCALE or 1, sums[3 * i], sums[3 * i + 1]
  local mean = total / count / scale
  local deviations = math.max(0, (squares - total * (total / count)) / (scale * scale))
  local half_width = 1.645 * math.sqrt((deviations + 5) / (count + 4) / count)
  return count, mean, mean - half_width, mean + half_width
end

-- judge_gate() of sluicegate.gate: state, reason, latched.
local function judge_gate(rule, count, mean, latched, lagging)
  if count == 0 or count < rules.min_sessions then
    return 'Unknown', 'TooFewSessions', latched
  elseif mean < (latched and rule.min + rule.recover_by or rule.min) then
    return 'Broken', '', true
  elseif lagging then
    return 'Unknown', 'JudgeLag', latched
  end
  return 'OK', '', false
end

-- What the gates of a series said last. A latch of another judge revision is void; the state goes on, so that whoever
-- was told of it is told of its end.
local function memory_of(series)
  local packed = call('HGET', gates, series)
  local last = packed and decode(packed) or {}
  if last.revision ~= rules.revision then
    for _, gate in pairs(last.gates or {}) do
      gate.latched = false
    end
  end
  return last.gates or {}
end

-- Whether control's own gate is broken now: then the cause is shared, and shutting out the variant would not help.
local function is_control_broken(rule, control)
  local before = memory_of(control)[rule.metric]
  local count, mean = summarize(totals_of(control).sums, rule.metric)
  return judge_gate(rule, count, mean, before and before.latched, false) == 'Broken'
end

-- Shuts a variant out for the rest of its run: nothing ever deletes a field of `halts`.
local function halt(series, rule, count, mean, upper, now)
  local record = {series = series, gate = rule.metric, count = count, mean = mean, upper = upper,
    threshold = rule.min, severity = rule.severity, at = now}
  call('HSETNX', halts, series, encode(record))
  notices[#notices + 1] = encode({halt = record})
end

-- What a broken gate asks for now, whether this very step halts, and whether the cause is shared.
local function act(series, rule, count, mean, upper, before, now)
  local control = totals_of(series).control
  if (rule.confirm == 'UpperBound' and upper or mean) >= rule.min then
    return before.state == 'Broken' and before.action or 'Alert', false, false
  elseif rule.action == 'Pause' then
    return 'Pause', false, false
  elseif not control then
    return 'Alert', false, false
  elseif call('HEXISTS', halts, series) == 1 then
    return 'Rollback', false, false
  elseif is_control_broken(rule, control) then
    return 'Pause', false, true
  end
  halt(series, rule, count, mean, upper, now)
  return 'Rollback', true, false
end

local function tell(series, gate, before, reading, halted, shared, now)
  local event = {series = series, gate = gate, before = before, after = reading.state, action = reading.action,
    halted = halted, shared_cause = shared, reading = reading, at = now}
  call('XADD', events, 'MAXLEN', '~', KEEP_EVENTS, '*', 'd', encode(event))
end

-- The reading of one gate of one series. Tells of a change of state, of a halt, and once of a pause.
local function read_gate(series, total, rule, before, lagging, now)
  local count, mean, lower, upper = summarize(total.sums, rule.metric)
  local state, reason, latched = judge_gate(rule, count, mean, before.latched, lagging)
  local action, halted, shared = 'Alert', false, false
  if state == 'Broken' and rule.action ~= 'Alert' then
    action, halted, shared = act(series, rule, count, mean, upper, before, now)
  end
  local since = state == before.state and before.since or now
  local reading = {state = state, reason = reason, latched = latched, since = since, count = count, mean = mean,
    lower = lower, upper = upper, threshold = rule.min, severity = rule.severity, action = action}
  if state ~= before.state or halted or action == 'Pause' and before.action == 'Alert' then
    tell(series, rule.metric, before.state, reading, halted, shared, now)
  end
  return reading
end

-- The end of gates without a window or a rule: whoever was told that one is broken is told that it no longer is.
local function close_gates(series, memory, readings, now)
  for metric, before in pairs(memory) do
    if not readings[metric] and before.state ~= 'Unknown' then
      tell(series, metric, before.state, {state = 'Unknown', reason = 'TooFewSessions', latched = false, since = now,
        count = 0, threshold = before.threshold, severity = before.severity, action = 'Alert'}, false, false, now)
    end
  end
end

-- All gates of one series. A series without sessions in the window is at its end.
local function read_series(series, lagging, now)
  local total, memory, readings = totals_of(series), memory_of(series), {}
  local sessions, fresh = total.sums[1], {state = 'Unknown', latched = false, action = 'Alert', since = now}
  for _, rule in ipairs(sessions > 0 and rules.gates or {}) do
    readings[rule.metric] = read_gate(series, total, rule, memory[rule.metric] or fresh, lagging, now)
  end
  close_gates(series, memory, readings, now)
  if sessions == 0 then
    call('HDEL', gates, series)
  else -- Without gates the field is left out: an empty table would be packed as an array.
    call('HSET', gates, series, encode({at = now, revision = rules.revision, sessions = sessions,
      gates = next(readings) and readings or nil}))
  end
end

-- Whether a session waits too long for the judge.
local function is_lagging(now)
  local oldest = call('XRANGE', queue, '-', '+', 'COUNT', 1)[1]
  return oldest and now - ms_of(oldest[1]) > rules.max_lag_ms
end

-- Stores the totals, and reads the gates of the series touched, or of all. Publishes last, and guarded: a refused
-- publish must not look like a score that failed.
local function settle(touched, all, now)
  for series, total in pairs(totals) do
    if total.sums[1] == 0 then
      call('HDEL', window, series)
    else
      call('HSET', window, series, encode(total))
    end
  end
  for _, series in ipairs(all and call('HKEYS', gates) or {}) do
    touched[series] = true
  end
  local lagging = is_lagging(now)
  for series in pairs(touched) do
    read_series(series, lagging, now)
  end
  for _, notice in ipairs(notices) do
    redis.pcall('PUBLISH', channel, notice)
  end
end

-- Counts a logged score in the window; returns 0 if it ended too early for it, or is of another judge revision.
local function count(record, now)
  if record.judge_revision ~= rules.revision or not is_callers_window() then
    return 0
  end
  local current, moved = slide(now)
  local epoch = math.min(epoch_of(floor(record.ended_at * 1000)), current)
  if epoch <= current - BUCKETS then
    settle({}, moved, now)
    return 0
  end
  local series = record.experiment .. '/' .. record.run_id .. '/' .. record.variant
  count_in(series, record, epoch)
  settle({[series] = true, [AGENT] = true}, moved, now)
  return 1
end

local function acknowledge()
  call('XACK', queue, group, entry_id)
  call('XDEL', queue, entry_id)
end

-- A full Redis refuses a script at its first write if that one needs memory, and at no later one. A score makes room
-- in the queue, so its first write is one that needs none, and changes nothing.
local function begin_writing()
  call('HDEL', window, '')
end

local function score()
  local readable, record = pcall(decode, packed_record)
  local fault = not readable and 'record: not MessagePack' or fault_in(record)
  if fault then
    return redis.error_reply('REFUSED ' .. fault)
  end
  local before = call('HGET', seen, record.session_id)
  if before and before:find('-', 1, true) then
    acknowledge()
    return {'duplicate', before}
  elseif #call('XRANGE', queue, entry_id, entry_id) == 0 then
    return {'gone'}
  end
  begin_writing()
  local id = call('XADD', log, log_id, 'd', packed_record)
  call('HSET', seen, record.session_id, id)
  if not before and call('TTL', seen) < 0 then
    call('EXPIRE', seen, REMEMBER_SECONDS)
  end
  acknowledge()
  return {'scored', id, count(record, ms_of(id))}
end

-- The time of a tick is the server's, but never behind the log.
local function tick()
  if is_callers_window() then
    local time, last = call('TIME'), call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
    local now = log_id == '*' and time[1] * 1000 + floor(time[2] / 1000) or ms_of(log_id)
    begin_writing()
    now = math.max(now, last and ms_of(last[1]) or 0)
    slide(now)
    settle({}, true, now)
  end
  return {'ticked'}
end

return mode == 'score' and score() or tick()
