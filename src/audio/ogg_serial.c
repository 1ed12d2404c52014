/* Ogg pages (RFC 3533): 27 bytes of header, a segment table, a body; the checksum is CRC-32 with polynomial 0x04C11DB7,
 * most significant bit first, start 0, over the page with its checksum field zeroed. */
#define _XOPEN_SOURCE 700
#include "audio/ogg_serial.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 27, SERIAL_AT = 14, CHECKSUM_AT = 22, SEGMENTS_AT = 26, PAGE_MAX = HEADER + 255 + 255 * 255 };

static void make_table(uint32_t table[256]) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t r = i << 24;
    for (int bit = 0; bit < 8; bit++) r = r & 0x80000000u ? (r << 1) ^ 0x04C11DB7u : r << 1;
    table[i] = r;
  }
}

static uint32_t checksum(const uint32_t table[256], const uint8_t *p, size_t n) {
  uint32_t crc = 0;
  for (size_t i = 0; i < n; i++) crc = (crc << 8) ^ table[(crc >> 24) ^ p[i]];
  return crc;
}

static void put_le32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static bool read_at(int fd, void *p, size_t n, off_t at) {
  return pread(fd, p, n, at) == (ssize_t)n;
}

/* Length of the page at `at`, read into `page`; 0 if it is not a whole page. */
static size_t read_page(int fd, off_t at, uint8_t *page) {
  if (!read_at(fd, page, HEADER, at) || memcmp(page, "OggS", 5) != 0) return 0;
  size_t segments = page[SEGMENTS_AT], length = HEADER + segments;
  if (!read_at(fd, page + HEADER, segments, at + HEADER)) return 0;
  for (size_t i = 0; i < segments; i++) length += page[HEADER + i];
  size_t head = HEADER + segments;
  return read_at(fd, page + head, length - head, at + (off_t)head) ? length : 0;
}

ace_status ogg_set_serial(int fd, uint32_t serial, const char *where, ace_error *err) {
  uint32_t table[256];
  make_table(table);
  uint8_t *page = malloc(PAGE_MAX);
  if (!page) return ace_fail(err, ACE_ENOMEM, "%s: out of memory", where);
  ace_status status = ACE_OK;
  off_t end = lseek(fd, 0, SEEK_END);
  for (off_t at = 0; status == ACE_OK && at < end;) {
    size_t length = read_page(fd, at, page);
    if (!length) {
      status = ace_fail(err, ACE_EINTERNAL, "%s: no Ogg page at byte %lld", where, (long long)at);
      break;
    }
    put_le32(page + SERIAL_AT, serial);
    put_le32(page + CHECKSUM_AT, 0);
    put_le32(page + CHECKSUM_AT, checksum(table, page, length));
    if (pwrite(fd, page + SERIAL_AT, 12, at + SERIAL_AT) != 12) status = ace_fail_errno(err, "%s: cannot write", where);
    at += (off_t)length;
  }
  free(page);
  return status;
}
