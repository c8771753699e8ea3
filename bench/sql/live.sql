-- The procedure behind the log: call live(n) makes 300 n changes in 11 n transactions. A third are inserts (100 in a
-- statement), a third updates and a third deletes (20 one-row statements in a transaction).
use bench;
drop table if exists seq100; drop procedure if exists live;
create table seq100 (n int primary key);
insert into seq100 values (1),(2),(3),(4),(5),(6),(7),(8),(9),(10);
insert into seq100 select a.n+b.n*10 from seq100 a, seq100 b where b.n<10;
delimiter //
create procedure live(n int)
begin
  declare i, j, k int default 0; declare base, u bigint default 0;
  while i < n do
    set base = {rows} + i*100;
    start transaction;
    insert into orders select base+s.n, ((base+s.n)*7919)%500000, 1+((base+s.n)%5), (((base+s.n)*104729)%100000000)/100.0,
      concat('commande n° ',base+s.n,' – ', elt(1+(s.n)%4,'grüße','naïve café','東京','plain text'),' ',substr(sha2(base+s.n,256),1,16)),
      '2024-01-01 00:00:00' + interval ((base+s.n)*1009000) microsecond, s.n%256, if(s.n%50=0,null,(base+s.n)/7.0e0) from seq100 s;
    commit;
    set j = 0;
    while j < 5 do
      start transaction; set k = 0;
      while k < 20 do
        set u = (u + 7919) % {rows};
        update orders set status=1+((status+0)%5), amount=(amount+0.25)%1000000, created_at=created_at + interval 1 second where id=u+1;
        set k = k+1;
      end while;
      commit; set j = j+1;
    end while;
    set j = 0;
    while j < 5 do
      start transaction; set k = 1;
      while k <= 20 do
        delete from orders where id=base+j*20+k;
        set k = k+1;
      end while;
      commit; set j = j+1;
    end while;
    set i = i+1;
  end while;
end//
delimiter ;
