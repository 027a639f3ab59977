-- Gives a consumer of a group the entries whose turn it is: those that others had and did not end in time, and new
-- ones, by priority and then by age, and every waiting lane in turn.
--
-- ARGV  3: the group;  4: the consumer;  5: how many at most;  6: bytes after which no more are added;  7: when an
--       entry that was not ended is given again, in milliseconds;  8: how many groups there may be;  9: how many may
--       overtake a waiting lane;  10: how many undecodable ones are kept;  11: `turn` for what is due, `look` to look
--       into every lane, `drain` also for what others have open however long
--
-- Gives: whether there are too many groups;  the last id that the topic has;  in how many milliseconds to look again
-- for late ones (-1: nothing is open);  how many could not be decoded;  the entries as pairs of id and payload

local GROUP, CONSUMER, LEFT, BYTES = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local LATE_MS, GROUPS_MAX, PATIENCE = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local DEAD_MAX, MODE = tonumber(ARGV[10]), ARGV[11]
-- How many are read from a lane in one go: what comes after the bytes are used up.
local STRIDE = 64
-- Greater ids are not ours: a Lua number does not hold them.
local EXACT = 2 ^ 53

local seen = tonumber(redis.call('HGET', GROUPS, GROUP) or -1)
if seen < 0 then
  if redis.call('HLEN', GROUPS) >= GROUPS_MAX then forget_silent() end
  if redis.call('HLEN', GROUPS) >= GROUPS_MAX then return {1, 0, -1, 0, {}} end
  local failed = begin(GROUP)
  if failed then return failed end
else
  sign(GROUP, seen)
end
touch(false)

-- A command about the group; a lane that lost its group, or itself, gets it again.
local function of_group(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err and string.find(answer.err, 'NOGROUP', 1, true) then
    local failed = begin(GROUP)
    if failed then return failed end
    answer = redis.pcall(...)
  end
  return answer
end

local about = redis.call('HMGET', META, 'last', 'passed:' .. GROUP, 'look:' .. GROUP,
  'last:1', 'last:2', 'last:3', 'last:4',
  'given:1:' .. GROUP, 'given:2:' .. GROUP, 'given:3:' .. GROUP, 'given:4:' .. GROUP)
local last = tonumber(about[1] or 0)
local look = tonumber(about[3] or 0)
local passed, late, fresh, after = {}, {}, {}, {}
local looking = MODE == 'drain' or NOW >= look or look > NOW + LATE_MS
local at = 1
for count in string.gmatch(about[2] or '0 0 0 0', '%d+') do
  passed[at] = tonumber(count)
  at = at + 1
end
for lane = 1, 4 do
  late[lane] = looking
  fresh[lane] = MODE ~= 'turn' or tonumber(about[7 + lane] or 0) < tonumber(about[3 + lane] or 0)
  after[lane] = '-'
end

local entries, undecodable, marks = {}, 0, {}
local function mark(name, value)
  marks[#marks + 1] = name
  marks[#marks + 1] = value
end

-- Keeps what cannot be decoded where an operator finds it, and ends it for everybody.
local function bury(lane, id, fields)
  local kept = {}
  for at = 1, math.min(#fields, 64) do kept[at] = fields[at] end
  redis.call('XADD', DEAD, 'MAXLEN', DEAD_MAX, '*', 'lane', lane, 'id', id, unpack(kept))
  for _, group in ipairs(redis.call('HKEYS', GROUPS)) do redis.pcall('XACK', KEYS[lane], group, id) end
  redis.call('XDEL', KEYS[lane], id)
  redis.call('PEXPIRE', DEAD, text(TTL_MS))
  undecodable = undecodable + 1
end

local function add(lane, found)
  local id, fields = found[1], found[2]
  local whole = string.match(id, '^(%d+)%-0$')
  local value = whole and tonumber(whole)
  if not (value and value < EXACT and value % 4 == lane - 1 and fields[1] == 'b' and #fields == 2) then
    return bury(lane, id, fields)
  end
  entries[#entries + 1] = {whole, fields[2]}
  LEFT = LEFT - 1
  BYTES = BYTES - #fields[2]
end

-- Takes over what others did not end in time. Gives how many it found, or an error.
local function take_late(lane, want)
  local idle = MODE == 'drain' and 0 or LATE_MS
  local due = of_group('XPENDING', KEYS[lane], GROUP, 'IDLE', idle, after[lane], '+', want)
  if due.err then return 0, due end
  if #due < want then late[lane] = false end
  if #due == 0 then return 0 end
  local claim = {'XCLAIM', KEYS[lane], GROUP, CONSUMER, idle}
  for _, one in ipairs(due) do claim[#claim + 1] = one[1] end
  after[lane] = '(' .. due[#due][1]
  for _, found in ipairs(redis.call(unpack(claim))) do
    if found and found[2] then add(lane, found) end
  end
  return #due
end

local function take_new(lane, want)
  local answer = of_group('XREADGROUP', 'GROUP', GROUP, CONSUMER, 'COUNT', want, 'STREAMS', KEYS[lane], '>')
  if answer and answer.err then return 0, answer end
  local found = answer and answer[1][2] or {}
  local reached = tonumber(about[3 + lane] or 0)
  if #found > 0 then
    local newest = number(found[#found][1])
    if newest < EXACT then
      -- Where it is ahead of all that was published, somebody else wrote it: it counts all the same.
      if newest > last then
        last = newest
        mark('last', text(last))
      end
      if newest > reached then mark('last:' .. lane, text(newest)) end
      reached = #found < want and math.max(newest, reached) or newest
    end
    for _, one in ipairs(found) do add(lane, one) end
  end
  if #found < want then fresh[lane] = false end
  if reached > 0 then mark('given:' .. lane .. ':' .. GROUP, text(reached)) end
  return #found
end

local function waits(lane)
  return late[lane] or fresh[lane]
end

-- The lane whose turn it is (the most passed over of those that lost patience, else the most urgent one), and how many
-- of it may go before another's patience ends.
local function turn()
  local most, top
  for lane = 1, 4 do
    if waits(lane) then
      if passed[lane] >= PATIENCE and (not most or passed[lane] >= passed[most]) then most = lane end
      top = lane
    end
  end
  if most then return most, 1 end
  local run = STRIDE
  for lane = 1, (top or 0) - 1 do
    if waits(lane) then run = math.min(run, PATIENCE - passed[lane]) end
  end
  return top, run
end

while LEFT > 0 and BYTES > 0 do
  local lane, run = turn()
  if not lane then break end
  local want = math.min(run, LEFT)
  local count, failed
  if late[lane] then
    count, failed = take_late(lane, want)
  else
    count, failed = take_new(lane, want)
  end
  if failed then return failed end
  if count > 0 then
    passed[lane] = 0
    for lower = 1, lane - 1 do
      if waits(lower) then passed[lower] = passed[lower] + count end
    end
  end
end

for lane = 1, 4 do
  if not waits(lane) then passed[lane] = 0 end
end
local counts = table.concat(passed, ' ')
if counts ~= (about[2] or '0 0 0 0') then mark('passed:' .. GROUP, counts) end
if looking and not (late[1] or late[2] or late[3] or late[4]) then
  look = NOW + math.max(math.floor(LATE_MS / 8), 1)
  mark('look:' .. GROUP, text(look))
end
if #marks > 0 then redis.pcall('HSET', META, unpack(marks)) end

local again = -1
if #entries == 0 then
  for lane = 1, 4 do
    local open = of_group('XPENDING', KEYS[lane], GROUP)
    if not open.err and open[1] > 0 then again = math.max(look - NOW, 1) end
  end
end
return {0, last, again, undecodable, entries}
