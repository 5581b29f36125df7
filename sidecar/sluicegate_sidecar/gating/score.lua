-- A score, or a tick, from its checks to its answer.

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
    elseif record.judge_revision == revision and (metric == OVERALL or not index[metric]) then
      return 'scores.' .. tostring(metric) .. ': not a metric of the judge revision ' .. revision
    end
  end
end

-- Counts a logged score in the window; returns 0 if it ended too early for it, or is of another judge revision.
local function count(record, now)
  if record.judge_revision ~= revision or not is_callers_window() then
    return 0
  end
  local current, moved = slide(now)
  local epoch = math.min(epoch_of(floor(record.ended_at * 1000)), current)
  if epoch <= current - BUCKETS then
    settle({}, moved, now)
    return 0
  end
  local run = record.experiment .. '/' .. record.run_id .. '/'
  local series = run .. record.variant
  count_in(series, record.scores, epoch)
  -- Only a variant beside a known control can be halted, now or at a later tick.
  if record.experiment ~= '' and record.variant ~= '' and record.control ~= '' and record.variant ~= record.control then
    controls[series] = run .. record.control
  end
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
    call('EXPIRE', seen, 691200) -- The 8 days of record.lua.
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
