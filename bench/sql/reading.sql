-- The table of `bench iotdb`: {rows} readings of 100 devices, as they come in: by time. The same for MariaDB and MySQL.
create database if not exists bench character set utf8mb4;
use bench;
set sql_log_bin=0;
drop table if exists digit, reading, one_reading;
create table digit (d int not null primary key);
insert into digit values (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
create table reading (
  id bigint not null primary key,
  device int not null,
  taken_at datetime(3) not null,
  pressure double,
  flow float not null,
  kind int not null,
  total bigint not null,
  note varchar(64)
) engine=innodb default charset=utf8mb4;
insert into reading select n, n%100, '2026-01-01 00:00:00' + interval (n*10000) microsecond,
  if(n%50=0,null,n/7.0e0), (n%1000)/8, n%5, n*1000003, if(n%10=0,concat('remark, n° ',n),null)
  from (select 1+a.d+10*b.d+100*c.d+1000*e.d+10000*f.d+100000*g.d+1000000*h.d as n
    from digit a, digit b, digit c, digit e, digit f, digit g, digit h) as numbers
  where n<={rows} order by n;
create table one_reading like reading;
insert into one_reading select * from reading where id=1;
analyze table reading, one_reading;
