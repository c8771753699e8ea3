-- The table of the benchmark, {rows} rows of about 130 bytes. For MariaDB; orders.mysql.sql is the same for MySQL.
create database if not exists bench character set utf8mb4;
use bench;
drop table if exists orders;
create table orders (
  id bigint not null primary key,
  customer_id int not null,
  status enum('new','paid','packed','shipped','returned') not null,
  amount decimal(12,2) not null,
  note varchar(64) character set utf8mb4,
  created_at datetime(3) not null,
  flags bit(8) not null,
  ratio double
) engine=innodb default charset=utf8mb4;
set sql_log_bin=0;
insert into orders select seq, (seq*7919)%500000, 1+(seq%5), ((seq*104729)%100000000)/100.0,
  concat('commande n° ',seq,' – ', elt(1+seq%4,'grüße','naïve café','東京','plain text'),' ',substr(md5(seq),1,16)),
  '2024-01-01 00:00:00' + interval (seq*1009000) microsecond, seq%256, if(seq%50=0,null,seq/7.0e0) from seq_1_to_{rows};
analyze table orders;
