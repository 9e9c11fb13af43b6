CREATE TABLE public.t (id integer NOT NULL ENCODE az64, n varchar(256) ENCODE lzo) DISTSTYLE KEY DISTKEY (id) SORTKEY (id);
INSERT INTO public.t VALUES (1,'x');
