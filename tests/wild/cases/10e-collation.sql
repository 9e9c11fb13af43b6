--
-- PostgreSQL database dump
--

\restrict 4sVx81bmbFzA1XWeyUpAWGcidHahOOj1pjdeaFKe4AGWRie9mjQBcPBLDF56eyp

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: r; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.r (
    a text COLLATE public.nocase
);


--
-- Data for Name: r; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.r (a) FROM stdin;
x
\.


--
-- PostgreSQL database dump complete
--

\unrestrict 4sVx81bmbFzA1XWeyUpAWGcidHahOOj1pjdeaFKe4AGWRie9mjQBcPBLDF56eyp

