-- Makes a store's writer the one. KEYS: meta. ARGV: its token, the epoch it had (0: none yet).
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'token', 'catalog')
local epoch, had = tonumber(meta[1] or '0'), tonumber(ARGV[2])
if had > 0 and epoch >= had and meta[2] ~= ARGV[1] then
  return {'fenced'}
end
epoch = string.format('%d', math.max(epoch, had) + 1)
redis.call('HSET', KEYS[1], 'epoch', epoch, 'token', ARGV[1], 'staged', '0')
redis.call('HSETNX', KEYS[1], 'commits', '0')
return {'ok', epoch, redis.call('HGET', KEYS[1], 'commits'), meta[3] or ''}
