-- The gates: what the totals of a series say of it, whom to tell, and whom to shut out.
--
-- `gates`: series -> {calm, judge revision, control's series, {metric -> gate}}, where a gate is {state, reason, latched,
-- since, action, threshold, severity, place of the metric}: what does not change with each score. The numbers of a reading are computed when somebody wants to know
-- them, in `sluicegate.reading`, of the totals in `sums`.
-- `calm` says what all gates say in one word, while none is broken or latched; else it is empty.

local controls, notices = {}, {}

-- How many scores of a metric there are, and their mean.
local function mean_of(total, metric)
  local i = index[metric]
  local count = i and total[3 * i - 1] or 0
  if count == 0 then
    return 0
  end
  return count, total[3 * i] / count / (metric == OVERALL and SCALE or 1)
end

-- judge_gate() of sluicegate.gate: state, reason, latched. The floor of a latched gate is the one to recover at.
local function judge_gate(floor, count, mean, latched, lagging)
  if count == 0 or count < min_sessions then
    return 'Unknown', 'TooFewSessions', latched
  elseif mean < floor then
    return 'Broken', '', true
  elseif lagging then
    return 'Unknown', 'JudgeLag', latched
  end
  return 'OK', '', false
end

-- A letter for each gate that is not broken, after the name of the rules; empty if one is. Two such words that are
-- equal say that no gate changed, if none was latched.
local function calm_of(total, lagging)
  local letters = revision .. edition
  for i, metric in ipairs(gated) do
    local count, mean = mean_of(total, metric)
    local state, reason = judge_gate(floors[i], count, mean, false, lagging)
    if state == 'Broken' then
      return ''
    end
    letters = letters .. (state == 'OK' and 'O' or reason:sub(1, 1))
  end
  return letters
end

-- A closer look at the gates of one series, where one changed, or is broken. Everything that few scores need is in here:
-- Lua makes a function anew each time it comes past it.
local function read_closely(series, stored, calm, lagging, now)
  local STATE, LATCHED, SINCE, ACTION, THRESHOLD, SEVERITY = 1, 3, 4, 5, 6, 7
  local KEEP_EVENTS = 10000

  -- The state goes on under another judge revision, so that whoever was told of it is told of its end; a latch is void.
  local function memory_of(packed)
    local memory = packed and decode(packed) or {}
    local same_revision, known = memory[2] == revision, memory[4] or {}
    for _, gate in pairs(known) do
      gate[LATCHED] = gate[LATCHED] and same_revision
    end
    return known, memory[3] or ''
  end

  -- summarize() of sluicegate.gate, in the same order of operations: count, mean, lower and upper bound.
  local function summarize(total, metric)
    local count, mean = mean_of(total, metric)
    if count == 0 then
      return 0
    end
    local i, scale = index[metric], metric == OVERALL and SCALE or 1
    local sum, squares = total[3 * i], total[3 * i + 1]
    local deviations = math.max(0, (squares - sum * (sum / count)) / (scale * scale))
    local half_width = 1.645 * math.sqrt((deviations + 5) / (count + 4) / count)
    return count, mean, mean - half_width, mean + half_width
  end

  local function judge(rule, count, mean, latched, is_late)
    return judge_gate(latched and rule.min + rule.recover_by or rule.min, count, mean, latched, is_late)
  end

  -- Whether control's own gate is broken now: then the cause is shared, and shutting out the variant would not help.
  local function is_control_broken(rule, control)
    local before = memory_of(call('HGET', gates, control))[rule.metric]
    local count, mean = mean_of(totals_of(control), rule.metric)
    return judge(rule, count, mean, before and before[LATCHED], false) == 'Broken'
  end

  -- Shuts a variant out for the rest of its run: nothing ever deletes a field of `halts`.
  local function halt(rule, count, mean, upper)
    local record = {series = series, gate = rule.metric, count = count, mean = mean, upper = upper,
      threshold = rule.min, severity = rule.severity, at = now}
    call('HSETNX', halts, series, encode(record))
    notices[#notices + 1] = encode({halt = record})
  end

  -- What a broken gate asks for now, whether this very step halts, and whether the cause is shared.
  local function act(rule, count, mean, upper, before, control)
    if (rule.confirm == 'UpperBound' and upper or mean) >= rule.min then
      return before[STATE] == 'Broken' and before[ACTION] or 'Alert', false, false
    elseif rule.action == 'Pause' then
      return 'Pause', false, false
    elseif control == '' then
      return 'Alert', false, false
    elseif call('HEXISTS', halts, series) == 1 then
      return 'Rollback', false, false
    elseif is_control_broken(rule, control) then
      return 'Pause', false, true
    end
    halt(rule, count, mean, upper)
    return 'Rollback', true, false
  end

  local function tell(metric, before, reading, halted, shared)
    local event = {series = series, gate = metric, before = before, after = reading.state, action = reading.action,
      halted = halted, shared_cause = shared, reading = reading, at = now}
    call('XADD', events, 'MAXLEN', '~', KEEP_EVENTS, '*', 'd', encode(event))
  end

  -- One gate, as it is stored. Tells of a change of state, of a halt, and once of a pause.
  local function read_gate(total, rule, before, control)
    local count, mean, lower, upper = summarize(total, rule.metric)
    local state, reason, latched = judge(rule, count, mean, before[LATCHED], lagging)
    local action, halted, shared = 'Alert', false, false
    if state == 'Broken' and rule.action ~= 'Alert' then
      action, halted, shared = act(rule, count, mean, upper, before, control)
    end
    local since = state == before[STATE] and before[SINCE] or now
    if state ~= before[STATE] or halted or action == 'Pause' and before[ACTION] == 'Alert' then
      tell(rule.metric, before[STATE], {state = state, reason = reason, latched = latched, since = since, count = count,
        mean = mean, lower = lower, upper = upper, threshold = rule.min, severity = rule.severity, action = action},
        halted, shared)
    end
    return {state, reason, latched, since, action, rule.min, rule.severity, index[rule.metric] or 0}
  end

  -- The end of gates without a window or a rule: whoever was told that one is broken is told that it no longer is.
  local function close_gates(before, still)
    for metric, gate in pairs(before) do
      if not still[metric] and gate[STATE] ~= 'Unknown' then
        tell(metric, gate[STATE], {state = 'Unknown', reason = 'TooFewSessions', latched = false, since = now, count = 0,
          threshold = gate[THRESHOLD], severity = gate[SEVERITY], action = 'Alert'}, false, false)
      end
    end
  end

  local total, read = totals_of(series), {}
  local before, control = memory_of(stored)
  control = controls[series] or control
  for _, rule in ipairs(total[1] > 0 and cjson.decode(rules) or {}) do
    local gate = read_gate(total, rule, before[rule.metric] or {'Unknown', '', false, now, 'Alert'}, control)
    calm, read[rule.metric] = gate[LATCHED] and '' or calm, gate
  end
  close_gates(before, read)
  if total[1] == 0 then
    call('HDEL', gates, series)
  else -- Without gates the last element is left out: an empty table would be packed as an array.
    call('HSET', gates, series, encode({calm ~= '' and calm .. control or '', revision, control, next(read) and read or nil}))
  end
end

-- All gates of one series. A series without sessions in the window is at its end.
local function read_series(series, lagging, now)
  local total, stored = totals_of(series), call('HGET', gates, series)
  local calm = total[1] > 0 and calm_of(total, lagging) or ''
  if calm == '' or not stored or not stored:find(calm .. (controls[series] or ''), 1, true) then
    read_closely(series, stored, calm, lagging, now)
  end
end

-- Whether a session waits too long for the judge.
local function is_lagging(now)
  local latest = now - max_lag_ms - 1
  return latest >= 0 and #call('XRANGE', queue, '-', string.format('%.0f', latest), 'COUNT', 1) == 1
end

-- Reads the gates of the series touched, or of all, and stores the totals. Publishes last, and guarded: a refused
-- publish must not look like a score that failed.
local function settle(touched, all, now)
  for _, series in ipairs(all and call('HKEYS', gates) or {}) do
    touched[series] = true
  end
  local lagging = is_lagging(now)
  for series in pairs(touched) do
    read_series(series, lagging, now)
  end
  for series, total in pairs(totals) do
    store(series, total, touched[series] and now)
  end
  save()
  for _, notice in ipairs(notices) do
    redis.pcall('PUBLISH', channel, notice)
  end
end
