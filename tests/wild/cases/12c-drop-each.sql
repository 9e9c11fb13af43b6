DROP TABLE public.parent;
CREATE TABLE public.parent (id int PRIMARY KEY, n text);
INSERT INTO public.parent VALUES (1, 'a');
DROP TABLE public.child;
CREATE TABLE public.child (id int PRIMARY KEY, parent int REFERENCES public.parent);
INSERT INTO public.child VALUES (1, 1);
CREATE TABLE public.work (x int);
DROP TABLE public.work;
