-- Gives an entry an id and calls it out to whoever listens. Gives the id.
--
-- KEYS  1: the last id of the topic
-- ARGV  1: the channel;  2: the lane, low as 0;  3: the payload;  4: how long an unused topic lives, in milliseconds

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[1]) or 0)
local id = math.max(last + 1, now * 1024)
id = id - id % 4 + tonumber(ARGV[2])
if id <= last then id = id + 4 end
local name = string.format('%.0f', id)
redis.call('SET', KEYS[1], name, 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[1], name .. ' ' .. ARGV[3])
return id
