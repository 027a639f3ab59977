-- Forgets a topic that keeps no entry. Gives whether it is gone.

if kept() > 0 then return 0 end
redis.call('UNLINK', unpack(KEYS))
return 1
