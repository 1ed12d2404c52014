/* db.c - db.h on SQLite 3. */
#include "jobs/db.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 5000, KEPT = 64 };

/* A statement that was understood once: understanding it again takes longer than running it. */
typedef struct kept {
  sqlite3_stmt *statement;
  bool used; /* somebody reads its rows */
} kept;

struct db {
  sqlite3 *handle;
  char *path;
  kept kept[KEPT];
  int n_kept;
};

static ace_status fail(const db *d, ace_error *err) {
  int code = sqlite3_errcode(d->handle);
  const char *remedy = "";
  if (code == SQLITE_FULL) remedy = "; make room on the disk";
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) remedy = "; move the file away to begin a new one";
  if (code == SQLITE_BUSY) remedy = "; another program holds it";
  return ace_fail(err, code == SQLITE_NOMEM ? ACE_ENOMEM : ACE_EIO, "%s: %s%s", d->path, sqlite3_errmsg(d->handle),
                  remedy);
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static bool bind_values(sqlite3_stmt *s, const char *types, va_list values) {
  int code = SQLITE_OK;
  for (int i = 0; types[i] && code == SQLITE_OK; i++) switch (types[i]) {
      case 'i': code = sqlite3_bind_int64(s, i + 1, va_arg(values, int64_t)); break;
      case 'd': code = sqlite3_bind_double(s, i + 1, va_arg(values, double)); break;
      default: code = sqlite3_bind_text(s, i + 1, va_arg(values, const char *), -1, SQLITE_TRANSIENT); break;
    }
  return code == SQLITE_OK;
}

/* A kept statement of that text that nobody uses, else a new one, which is kept as long as there is room; NULL: it is not
 * understood. */
static sqlite3_stmt *find_statement(db *d, const char *sql) {
  for (int i = 0; i < d->n_kept; i++) {
    kept *k = &d->kept[i];
    if (k->used || strcmp(sqlite3_sql(k->statement), sql) != 0) continue;
    k->used = true;
    return k->statement;
  }
  sqlite3_stmt *s = NULL;
  if (sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK) return NULL;
  if (s && d->n_kept < KEPT) d->kept[d->n_kept++] = (kept){s, true};
  return s;
}

static void leave_statement(db *d, sqlite3_stmt *s) {
  for (int i = 0; s && i < d->n_kept; i++) {
    if (d->kept[i].statement != s) continue;
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    d->kept[i].used = false;
    return;
  }
  sqlite3_finalize(s);
}

static db_rows prepare(db *d, ace_error *err, const char *sql, const char *types, va_list values) {
  db_rows r = {.d = d};
  r.statement = find_statement(d, sql);
  if (r.statement && bind_values(r.statement, types, values)) return r;
  r.status = fail(d, err);
  leave_statement(d, r.statement);
  r.statement = NULL;
  return r;
}

db_rows db_query(db *d, ace_error *err, const char *sql, const char *types, ...) {
  va_list values;
  va_start(values, types);
  db_rows r = prepare(d, err, sql, types, values);
  va_end(values);
  return r;
}

bool db_next(db_rows *r, ace_error *err) {
  if (!r->statement || r->status != ACE_OK) return false;
  int code = sqlite3_step(r->statement);
  if (code != SQLITE_ROW && code != SQLITE_DONE) r->status = fail(r->d, err);
  return code == SQLITE_ROW;
}

ace_status db_done(db_rows *r) {
  leave_statement(r->d, r->statement);
  r->statement = NULL;
  return r->status;
}

ace_status db_run(db *d, ace_error *err, const char *sql, const char *types, ...) {
  va_list values;
  va_start(values, types);
  db_rows r = prepare(d, err, sql, types, values);
  va_end(values);
  while (db_next(&r, err)) {
  }
  return db_done(&r);
}

int64_t db_changed(const db *d) {
  return sqlite3_changes64(d->handle);
}

int64_t db_inserted(const db *d) {
  return sqlite3_last_insert_rowid(d->handle);
}

ace_status db_begin(db *d, ace_error *err) {
  return db_run(d, err, "BEGIN IMMEDIATE", "");
}

ace_status db_end(db *d, bool ok, ace_error *err) {
  ace_status status = ok ? db_run(d, err, "COMMIT", "") : ACE_OK;
  if ((!ok || status != ACE_OK) && !sqlite3_get_autocommit(d->handle)) db_run(d, NULL, "ROLLBACK", "");
  return status;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

const char *db_text(const db_rows *r, int column) {
  return (const char *)sqlite3_column_text(r->statement, column);
}

int64_t db_int(const db_rows *r, int column) {
  return sqlite3_column_int64(r->statement, column);
}

double db_real(const db_rows *r, int column) {
  return sqlite3_column_double(r->statement, column);
}

bool db_is_null(const db_rows *r, int column) {
  return sqlite3_column_type(r->statement, column) == SQLITE_NULL;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static ace_status version_of(db *d, int *version, ace_error *err) {
  db_rows r = db_query(d, err, "PRAGMA user_version", "");
  *version = db_next(&r, err) ? (int)db_int(&r, 0) : 0;
  return db_done(&r);
}

static ace_status run_script(db *d, const char *sql, ace_error *err) {
  return sqlite3_exec(d->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? ACE_OK : fail(d, err);
}

static ace_status upgrade(db *d, const char *const *steps, int n_steps, ace_error *err) {
  int version;
  ace_status status = version_of(d, &version, err);
  if (status == ACE_OK && (version < 0 || version > n_steps))
    return ace_fail(
        err, ACE_EUNSUPPORTED,
        "%s: was written by a newer program (version %d of the database, this one knows %d); start that one", d->path,
        version, n_steps);
  for (; status == ACE_OK && version < n_steps; version++) {
    char set[64];
    snprintf(set, sizeof set, "PRAGMA user_version = %d", version + 1);
    status = db_begin(d, err);
    if (status != ACE_OK) break;
    status = run_script(d, steps[version], err);
    if (status == ACE_OK) status = run_script(d, set, err);
    ace_status ended = db_end(d, status == ACE_OK, err);
    if (status == ACE_OK) status = ended;
  }
  return status;
}

db *db_open(const char *path, const char *const *steps, int n_steps, ace_error *err) {
  db *d = calloc(1, sizeof *d);
  if (d) d->path = strdup(path);
  if (!d || !d->path) {
    db_close(d);
    ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
    return NULL;
  }
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  bool ok = sqlite3_open_v2(path, &d->handle, flags, NULL) == SQLITE_OK;
  if (!ok && d->handle) fail(d, err);
  if (!ok && !d->handle) ace_fail(err, ACE_ENOMEM, "%s: out of memory", path);
  if (ok) sqlite3_busy_timeout(d->handle, BUSY_MS);
  ok = ok && run_script(d,
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                        "PRAGMA trusted_schema = OFF;",
                        err) == ACE_OK;
  if (ok && upgrade(d, steps, n_steps, err) == ACE_OK) return d;
  db_close(d);
  return NULL;
}

void db_close(db *d) {
  if (!d) return;
  for (int i = 0; i < d->n_kept; i++) sqlite3_finalize(d->kept[i].statement);
  sqlite3_close_v2(d->handle);
  free(d->path);
  free(d);
}
