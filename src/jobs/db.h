/* db.h - glue over SQLite: one database file, versioned, with statements that bind their values by type.
 *
 *   db *d = db_open("acestep.db", steps, n_steps, &err);
 *   db_run(d, &err, "UPDATE jobs SET state = ?, error = ? WHERE seq = ?", "iti", state, error, seq);
 *   db_rows r = db_query(d, &err, "SELECT id, seq FROM jobs WHERE session = ?", "t", session);
 *   while (db_next(&r, &err)) puts(db_text(&r, 0));
 *   status = db_done(&r);
 *
 * Values: 'i' int64_t, 'd' double, 't' const char * (NULL: null). Write-ahead log, every commit flushed to disk: what
 * was committed is there after a crash of the program or of the machine. One thread at a time: callers lock.
 */
#ifndef ACE_JOBS_DB_H
#define ACE_JOBS_DB_H

#include <sqlite3.h>

#include "base/error.h"

typedef struct db db;

/* Step i brings a database of version i to version i + 1. The last step's number is the version that this program
 * writes; a database of a later version is refused, untouched. Each step is one transaction. */
db *db_open(const char *path, const char *const *steps, int n_steps, ace_error *err);
void db_close(db *d);

/* Runs one statement. `types` names the type of each value that follows. */
ace_status db_run(db *d, ace_error *err, const char *sql, const char *types, ...);
/* Rows that the last db_run changed. */
int64_t db_changed(const db *d);
/* The rowid of the last insert. */
int64_t db_inserted(const db *d);

/* Transactions do not nest. */
ace_status db_begin(db *d, ace_error *err);
/* ok: commit, and roll back when that fails; else roll back and leave `err` alone. */
ace_status db_end(db *d, bool ok, ace_error *err);

typedef struct db_rows {
  db *d;
  sqlite3_stmt *statement; /* NULL after a failure */
  ace_status status;
} db_rows;

db_rows db_query(db *d, ace_error *err, const char *sql, const char *types, ...);
/* False after the last row and after a failure. */
bool db_next(db_rows *r, ace_error *err);
/* Always to be called, also before the last row. */
ace_status db_done(db_rows *r);

/* Columns of the current row. Text is valid until the next row, NULL for null. */
const char *db_text(const db_rows *r, int column);
int64_t db_int(const db_rows *r, int column);
double db_real(const db_rows *r, int column);
bool db_is_null(const db_rows *r, int column);

#endif
