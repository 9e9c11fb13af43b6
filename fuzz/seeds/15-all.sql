--
-- PostgreSQL database cluster dump
--

\restrict WLhSh6EZtMzraw225lhLnqKFiqhoVluzTavU2nhi6AA5IlrjgD9dKkOx3KIXGwW

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE owner;
ALTER ROLE owner WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD 'x';

--
-- User Configurations
--








\unrestrict WLhSh6EZtMzraw225lhLnqKFiqhoVluzTavU2nhi6AA5IlrjgD9dKkOx3KIXGwW

--
-- PostgreSQL database cluster dump complete
--

