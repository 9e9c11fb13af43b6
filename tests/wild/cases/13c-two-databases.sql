CREATE DATABASE one;
\connect one
CREATE TABLE a (x int);
CREATE DATABASE two;
\connect two
CREATE TABLE b (x int);
