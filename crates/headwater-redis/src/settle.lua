-- Ends a take-over. ARGV: the catalog, then the indexes of folds that go.
redis.call('HSET', KEYS[1], 'catalog', take())
for _, staged in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  redis.call('UNLINK', staged)
end
redis.call('UNLINK', KEYS[2])
while at <= #ARGV do
  drop(take(), '-', '+')
end
return 'ok'
