-- What the scripts of a topic share. All keys of a topic lie in one slot, so that each script is one step for all.
--
-- KEYS  1 to 4: the lanes, low to urgent (streams, with the consumer groups)
--       5: meta (hash)   `last`: the last id;  `last:LANE`: of a lane;  `touched`: when the keys had their time renewed
--                        `given:LANE:GROUP`: the last id that a group had of a lane
--                        `passed:GROUP`: how many entries overtook each lane;  `look:GROUP`: when to look for late ones
--       6: groups (hash of each group's last sign of life)
--       7: log (stream of the last entries, ended or not)
--       8: dead (stream of what could not be decoded)
-- ARGV  1: how long an unused topic lives, in milliseconds;  2: when a silent group is forgotten, in milliseconds
--
-- An id is 1024 times the milliseconds of the server, or more than the last id where that is greater; its two lowest
-- bits are its lane. So it grows over all lanes, also after the server was emptied, tells its lane and about when it
-- was published, and stays exact as a Lua number for two hundred years.

local META, GROUPS, LOG, DEAD = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local TTL_MS, GROUP_IDLE_MS = tonumber(ARGV[1]), tonumber(ARGV[2])
local PER_MS = 1024

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local NOW = milliseconds()

local function text(number)
  return string.format('%.0f', number)
end

-- The number in front of the dash of a stream's id.
local function number(id)
  return tonumber(string.match(id, '^%d+')) or 0
end

-- Renews the time to live of all keys, now and then, or at once when one of them may be new.
local function touch(new)
  local touched = tonumber(redis.call('HGET', META, 'touched') or 0)
  if not new and NOW < touched + TTL_MS / 16 and NOW >= touched then return end
  -- A full server refuses this, which must not stop the work that frees it.
  redis.pcall('HSET', META, 'touched', text(NOW))
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, text(TTL_MS)) end
end

-- The greatest id that any lane or the log ever had, as their streams remember it.
local function greatest()
  local most = 0
  for _, lane in ipairs({1, 2, 3, 4, 7}) do
    local about = redis.pcall('XINFO', 'STREAM', KEYS[lane])
    if not about.err then
      for at = 1, #about, 2 do
        if about[at] == 'last-generated-id' then most = math.max(most, number(about[at + 1])) end
      end
    end
  end
  return most
end

local function kept()
  local sum = 0
  for lane = 1, 4 do sum = sum + redis.call('XLEN', KEYS[lane]) end
  return sum
end

-- Where a group stands in a lane: it had every entry up to here.
local function given(group, lane)
  return tonumber(redis.call('HGET', META, 'given:' .. lane .. ':' .. group) or 0)
end

-- Forgets the groups that nobody spoke for in a long time.
local function forget_silent()
  local groups = redis.call('HGETALL', GROUPS)
  for at = 1, #groups, 2 do
    local group = groups[at]
    if NOW >= tonumber(groups[at + 1]) + GROUP_IDLE_MS then
      redis.call('HDEL', GROUPS, group)
      redis.call('HDEL', META, 'passed:' .. group, 'look:' .. group)
      for lane = 1, 4 do
        redis.pcall('XGROUP', 'DESTROY', KEYS[lane], group)
        redis.call('HDEL', META, 'given:' .. lane .. ':' .. group)
      end
    end
  end
end

-- Drops what every group has ended, up to the first entry of each lane that one has not.
local function drop_ended()
  local groups = redis.call('HKEYS', GROUPS)
  for lane = 1, 4 do
    local first
    for _, group in ipairs(groups) do
      local open = given(group, lane) + 1
      local pending = redis.pcall('XPENDING', KEYS[lane], group)
      if not pending.err and pending[1] > 0 then open = math.min(open, number(pending[2])) end
      first = math.min(first or open, open)
    end
    if first then redis.call('XTRIM', KEYS[lane], 'MINID', text(first)) end
  end
end

-- Notes a sign of life of a group, now and then.
local function sign(group, seen)
  if NOW >= seen + GROUP_IDLE_MS / 8 then redis.pcall('HSET', GROUPS, group, text(NOW)) end
end

-- Makes a group known, beginning with all that is kept.
local function begin(group)
  for lane = 1, 4 do
    local made = redis.pcall('XGROUP', 'CREATE', KEYS[lane], group, '0', 'MKSTREAM')
    if made.err then
      if not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
    else
      redis.call('HDEL', META, 'given:' .. lane .. ':' .. group)
    end
  end
  redis.call('HSET', GROUPS, group, text(NOW))
  touch(true)
end
