-- The table of `bench fold`, {rows} rows: `k1000` has as many values, and so on; `amount` is what is summed up.
create database if not exists bench character set utf8mb4;
use bench;
drop table if exists folded; drop table if exists digits; drop procedure if exists change_folded;
create table folded (
  id bigint not null primary key,
  k1000 int not null,
  k10000 int not null,
  k100000 int not null,
  k1000000 int not null,
  amount decimal(12,2) not null,
  created_at datetime(3) not null
) engine=innodb;
create table digits (n int primary key);
insert into digits values (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
set sql_log_bin=0;
insert into folded
  select s.n, (s.n*7919)%1000, (s.n*7919)%10000, (s.n*7919)%100000, (s.n*7919)%1000000, ((s.n*104729)%100000000)/100.0,
    timestamp('2024-01-01 00:00:00') + interval s.n second
  from (select 1+a.n+10*b.n+100*c.n+1000*d.n+10000*e.n+100000*f.n+1000000*g.n n
    from digits g, digits f, digits e, digits d, digits c, digits b, digits a) s where s.n <= {rows};
analyze table folded;
set sql_log_bin=1;
delimiter //
-- 300 n changes: a third inserts, 100 in a transaction; a third updates of the sum and a third deletes, 50 in a transaction.
create procedure change_folded(n int)
begin
  declare i, j int default 0; declare base, u bigint default 0;
  while i < n do
    set base = {rows} + i*100;
    insert into folded select base+1+a.n+10*b.n, ((base+1+a.n+10*b.n)*7919)%1000, ((base+1+a.n+10*b.n)*7919)%10000,
      ((base+1+a.n+10*b.n)*7919)%100000, ((base+1+a.n+10*b.n)*7919)%1000000, 12.5, '2026-01-01' from digits b, digits a;
    set j = 0;
    while j < 2 do
      start transaction;
      set u = 0;
      while u < 50 do
        update folded set amount = amount + 0.25 where id = 1 + ((i*100+j*50+u)*7919) % {rows};
        set u = u+1;
      end while;
      commit;
      start transaction;
      set u = 0;
      while u < 50 do
        delete from folded where id = base + 1 + j*50 + u;
        set u = u+1;
      end while;
      commit;
      set j = j+1;
    end while;
    set i = i+1;
  end while;
end//
delimiter ;
