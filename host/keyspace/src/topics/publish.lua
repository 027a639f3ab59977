-- Appends an entry. Gives its id, or 0 when the topic is full.
--
-- ARGV  3: the lane;  4: the payload;  5: how many entries a topic keeps;  6: how long they are kept without a group,
--       in milliseconds;  7: about how many the log keeps;  8: 1 to drop the oldest rather than be full

local LANE, PAYLOAD, MAX, RETAIN_MS, LOG_MAX = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local function drop_old()
  for lane = 1, 4 do redis.call('XTRIM', KEYS[lane], 'MINID', text((NOW - RETAIN_MS) * PER_MS)) end
end

local function make_room()
  forget_silent()
  if redis.call('HLEN', GROUPS) > 0 then drop_ended() else drop_old() end
end

-- Drops the oldest entry of the longest lane.
local function drop_oldest()
  local longest, length = 1, 0
  for lane = 1, 4 do
    local entries = redis.call('XLEN', KEYS[lane])
    if entries > length then longest, length = lane, entries end
  end
  redis.call('XTRIM', KEYS[longest], 'MAXLEN', math.max(length - 1, 0))
end

-- The next id of the lane: greater than any before it.
local function next_id(last)
  local id = math.max(last + 1, NOW * PER_MS)
  id = id - id % 4 + LANE - 1
  if id <= last then id = id + 4 end
  return id
end

local function append(last)
  local id = next_id(last)
  local added = redis.pcall('XADD', KEYS[LANE], text(id) .. '-0', 'b', PAYLOAD)
  return id, type(added) == 'table' and added.err and added
end

local open = kept()
if open > 0 and redis.call('HLEN', GROUPS) == 0 then
  drop_old()
  open = kept()
end
if open >= MAX then
  make_room()
  open = kept()
  if open >= MAX and ARGV[8] == '1' then
    drop_oldest()
    open = open - 1
  end
  if open >= MAX then return 0 end
end

local lasts = redis.call('HMGET', META, 'last', 'last:' .. LANE)
local last = tonumber(lasts[1] or greatest())
local id, failed = append(last)
if failed then
  -- Somebody else wrote into the stream, and is ahead.
  id, failed = append(math.max(last, greatest()))
  if failed then return failed end
end
redis.call('HSET', META, 'last', text(id), 'last:' .. LANE, text(id))
if LOG_MAX > 0 then
  redis.pcall('XADD', LOG, 'MAXLEN', '~', LOG_MAX, text(id) .. '-0', 'b', PAYLOAD)
end
touch(not lasts[2])
return id
