-- Commits a step. ARGV: the catalog; how many buckets, and for each its index, itself, how many arguments are put and removed, and
-- these; how many folds drop what is old, and for each its index and the bucket before which it is old; the indexes of folds that go.
-- The first write is one that is refused where memory is short; those after it are not.
redis.call('HSET', KEYS[1], 'catalog', take(), 'staged', '0')
redis.call('HINCRBY', KEYS[1], 'commits', 1)

local function settle(index, bucket)
  if redis.call('EXISTS', index .. ':' .. bucket) == 1 then
    redis.call('ZADD', index, 0, bucket)
  else
    redis.call('ZREM', index, bucket)
  end
end

for _, staged in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local state = string.sub(staged, 1, -8)
  local cursor = '0'
  repeat
    local found = redis.call('HSCAN', staged, cursor, 'COUNT', 500)
    cursor = found[1]
    for i = 1, #found[2], 2 do
      local value = found[2][i + 1]
      if string.sub(value, 1, 1) == '+' then
        redis.call('HSET', state, found[2][i], string.sub(value, 2))
      else
        redis.call('HDEL', state, found[2][i])
      end
    end
  until cursor == '0'
  redis.call('UNLINK', staged)
  settle(string.sub(state, 1, -18), string.sub(state, -16))
end
redis.call('UNLINK', KEYS[2])

for _ = 1, tonumber(take()) do
  local index, bucket = take(), take()
  local put, removed = tonumber(take()), tonumber(take())
  each('HSET', index .. ':' .. bucket, put)
  each('HDEL', index .. ':' .. bucket, removed)
  settle(index, bucket)
end
for _ = 1, tonumber(take()) do
  -- What is of all time stays.
  local index, before = take(), take()
  drop(index, '(0000000000000000', '(' .. before)
end
while at <= #ARGV do
  drop(take(), '-', '+')
end
return 'ok'
