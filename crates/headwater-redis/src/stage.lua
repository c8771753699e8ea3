-- Stages part of a step. ARGV: for each bucket the name of what is staged of it, how many arguments follow, and these: key, value.
redis.call('HSET', KEYS[1], 'staged', string.format('%d', tonumber(ARGV[4]) + 1))
while at <= #ARGV do
  local staged = take()
  redis.call('SADD', KEYS[2], staged)
  each('HSET', staged, tonumber(take()))
end
return 'ok'
