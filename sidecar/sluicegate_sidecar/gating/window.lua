-- The window: sums of what was scored, moved on with time.
--
-- It is a hash: `epoch`, the 360th of the window that it has been moved to; epoch modulo 360 -> {series -> sums} of the
-- sessions that ended in that 360th; series -> totals, the sums of all of the window and the time when its gates were
-- read last. `sums`: series -> the totals that its gates were read of, whatever the window.
-- Sums are packed doubles that hold integers only, so that what was added can be subtracted without a trace: sessions,
-- then for each metric of the table how many scores, their sum, and the sum of their squares.

local AGENT, OVERALL, SCALE, BUCKETS = '*', 'overall_average', 2520, 360

-- pack_table() of sluicegate.snapshot; the control plane's own first: callers with different ones would make gates flap.
local packed_table = call('HGET', snapshot, 'gates') or callers_table
local revision, edition, window_seconds, min_sessions, max_lag_ms, metrics, gated, floors, rules =
  unpack(decode(packed_table))
local window_ms = window_seconds * 1000
local SUMS = 3 * #metrics + 1
local READ_AT = SUMS + 1
local SUMS_FORM, TOTALS_FORM = '<' .. string.rep('d', SUMS), '<' .. string.rep('d', READ_AT)
local index, totals, unsaved = {}, {}, {}
for i, metric in ipairs(metrics) do
  index[metric] = i
end

-- A window never mixes judge revisions, nor lengths: the caller's must be the table's.
local function is_callers_window()
  if callers_table == packed_table then
    return true
  end
  local callers_revision, _, callers_seconds = unpack(decode(callers_table))
  return callers_revision == revision and callers_seconds == window_seconds
end

local function ms_of(stream_id)
  return tonumber(stream_id:match('^%d+'))
end

local function epoch_of(ms)
  return floor(ms * BUCKETS / window_ms)
end

local function add(to, more, sign)
  for i = 1, SUMS do
    to[i] = (to[i] or 0) + sign * more[i]
  end
end

-- To be written by `save`: each call of Redis has its price, whatever it does.
local function change(hash, field, value)
  local fields = unsaved[hash] or {}
  fields[#fields + 1], fields[#fields + 2] = field, value
  unsaved[hash] = fields
end

local function save()
  for hash, fields in pairs(unsaved) do
    for first = 1, #fields, 1000 do -- as many as `unpack` can take for sure
      call('HSET', hash, unpack(fields, first, math.min(first + 999, #fields)))
    end
  end
end

-- Totals of a series, read once.
local function totals_of(series)
  if not totals[series] then
    local packed = call('HGET', window, series)
    totals[series] = packed and {struct.unpack(TOTALS_FORM, packed)} or {0}
  end
  return totals[series]
end

-- Moves the window to `now`, never back; returns its epoch, and whether that is a new one.
local function slide(now)
  local before = tonumber(call('HGET', window, 'epoch') or nil)
  local epoch = math.max(epoch_of(now), before or 0)
  if epoch == before then
    return epoch, false
  end

  -- Subtracts the buckets of the given epochs from the totals.
  local function expire(first, last)
    local slots = {}
    for epoch = first, last do
      slots[#slots + 1] = epoch % BUCKETS
    end
    for _, packed in ipairs(call('HMGET', window, unpack(slots))) do
      for series, packed_sums in pairs(packed and decode(packed) or {}) do
        local expired = {struct.unpack(SUMS_FORM, packed_sums)}
        add(totals_of(series), expired, -1)
        add(totals_of(AGENT), expired, -1)
      end
    end
    call('HDEL', window, unpack(slots))
  end

  if before and epoch - before < BUCKETS then
    expire(before - BUCKETS + 1, epoch - BUCKETS)
  else
    call('DEL', window)
  end
  call('HSET', window, 'epoch', string.format('%.0f', epoch))
  call('PEXPIRE', window, string.format('%.0f', window_ms + 3600000)) -- an hour's slack for clocks
  return epoch, true
end

-- Sums of one session. The overall average is an integer in units of 1/2520, exact for up to ten metrics.
local function sums_of(scores)
  local sums, count, total = {1}, 0, 0
  for i, metric in ipairs(metrics) do
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

-- Puts a session into its bucket and into the totals.
local function count_in(series, scores, epoch)
  local slot, scored = epoch % BUCKETS, sums_of(scores)
  local packed = call('HGET', window, slot)
  local bucket = packed and decode(packed) or {}
  local before = bucket[series] and {struct.unpack(SUMS_FORM, bucket[series])} or {}
  add(before, scored, 1)
  bucket[series] = struct.pack(SUMS_FORM, unpack(before, 1, SUMS))
  change(window, slot, encode(bucket))
  add(totals_of(series), scored, 1)
  add(totals_of(AGENT), scored, 1)
end

-- Stores the totals of a series; `now` is given if its gates were read, whose numbers they are.
local function store(series, total, now)
  if total[1] == 0 then
    call('HDEL', window, series)
    return now and call('HDEL', sums, series)
  end
  total[READ_AT] = now or total[READ_AT]
  local packed = struct.pack(TOTALS_FORM, unpack(total, 1, READ_AT))
  change(window, series, packed)
  return now and change(sums, series, packed)
end
