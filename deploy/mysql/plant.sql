-- An example to begin with: a table of readings, and the user that Headwater reads with. Runs once, when MySQL is first started.
CREATE DATABASE IF NOT EXISTS plant CHARACTER SET utf8mb4;
CREATE TABLE plant.pump_reading (
  id BIGINT PRIMARY KEY AUTO_INCREMENT,
  takenAt DATETIME(3) NOT NULL,
  pumpId INT NOT NULL,
  pressure FLOAT,
  operator VARCHAR(60),
  flow DECIMAL(10,2),
  UNIQUE KEY reading (pumpId, takenAt)
);
INSERT INTO plant.pump_reading (takenAt, pumpId, pressure, operator, flow) VALUES
  ('2026-01-01 00:00:00.000', 1, 2.5, 'Ada', 1.50),
  ('2026-01-01 00:00:00.000', 2, 3.25, 'Grace, "night"', NULL),
  ('2026-01-01 00:00:01.000', 1, 2.75, NULL, 1.75);
CREATE USER 'cdc'@'%' IDENTIFIED BY 'change-me';
GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'cdc'@'%';
