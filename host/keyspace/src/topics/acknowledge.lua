-- Ends entries for a group, and drops those that every group has ended. Gives how many were open.
--
-- ARGV  3: the group;  then for each lane: how many ids follow, and the ids

local GROUP = ARGV[3]
local others = {}
local groups = redis.call('HKEYS', GROUPS)
local known = false
for _, group in ipairs(groups) do
  if group == GROUP then known = true else others[#others + 1] = group end
end
if not known then return 0 end

-- Whether another group has still to end it.
local function owed(lane, id)
  for _, group in ipairs(others) do
    if tonumber(id) > given(group, lane) then return true end
    local pending = redis.pcall('XPENDING', KEYS[lane], group, id, id, 1)
    if not pending.err and #pending > 0 then return true end
  end
  return false
end

local ended = 0
local at = 4
for lane = 1, 4 do
  local count = tonumber(ARGV[at])
  if count > 0 then
    local ids = {}
    local had = given(GROUP, lane)
    local drop = {}
    for index = at + 1, at + count do
      local id = ARGV[index]
      ids[#ids + 1] = id
      if tonumber(id) <= had and not owed(lane, id) then drop[#drop + 1] = id end
    end
    local open = redis.pcall('XACK', KEYS[lane], GROUP, unpack(ids))
    if type(open) == 'table' then return open end
    ended = ended + open
    if #drop > 0 then redis.call('XDEL', KEYS[lane], unpack(drop)) end
  end
  at = at + count + 1
end
sign(GROUP, tonumber(redis.call('HGET', GROUPS, GROUP)))
touch(false)
return ended
