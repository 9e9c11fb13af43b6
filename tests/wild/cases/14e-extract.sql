--
-- PostgreSQL database dump
--

\restrict tirThGZK5snh2tUU3r9ayQgwkMFlcucjPt4iL4YQo5X9JRAmdmxmBJblF2eJRvf

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

--
-- Name: dy(timestamp without time zone); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.dy(event timestamp without time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$select extract(day from event)::int + position('a' in 'a')$$;


ALTER FUNCTION public.dy(event timestamp without time zone) OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: event; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.event (
    id integer
);


ALTER TABLE public.event OWNER TO postgres;

--
-- Name: l; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.l (
    ts timestamp without time zone
);


ALTER TABLE public.l OWNER TO postgres;

--
-- Name: position; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public."position" (
    id integer
);


ALTER TABLE public."position" OWNER TO postgres;

--
-- Data for Name: event; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.event (id) FROM stdin;
1
\.


--
-- Data for Name: l; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.l (ts) FROM stdin;
2020-01-02 00:00:00
\.


--
-- Data for Name: position; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public."position" (id) FROM stdin;
\.


--
-- Name: l_dy_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX l_dy_idx ON public.l USING btree (public.dy(ts));


--
-- PostgreSQL database dump complete
--

\unrestrict tirThGZK5snh2tUU3r9ayQgwkMFlcucjPt4iL4YQo5X9JRAmdmxmBJblF2eJRvf

