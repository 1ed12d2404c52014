/* A source for targets that have none of their own: a room still without files, the shell of the shared library. */
typedef int ace_no_source;
