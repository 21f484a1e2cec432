// An S3 server that keeps nothing, to measure clients against: what they cost, not what a store costs.
//
//   sink PORT-FILE [CERTIFICATE.pem] BUCKET:DIRECTORIES:FILES-EACH:BYTES[:md5|:opaque]...
//
// It listens on 127.0.0.1 only, writes its port to PORT-FILE and ends with its parent. One thread, epoll(7), HTTP/1.1 with
// keep-alive; with CERTIFICATE.pem over TLS, by a certificate that it makes and writes to that file. Signatures are not looked at. Bodies of PUT are dropped inside the kernel (MSG_TRUNC, tcp(7)), bodies
// of GET come from a pattern by sendfile(2), so a GiB costs it less than a tenth of a second.
//
// A bucket holds generated objects `data/dNNNN/fNNNNNN` of equal size (with 0 directories: the one object `data/file.bin`),
// in every one the pattern, so sizes, MD5 ETags and CRC-32 are known without storing anything. What is PUT is remembered
// by size only: HEAD finds it, listings do not, so each upload round meets an empty prefix.
//
// With `md5` or `opaque` a bucket is empty at first, and its objects are there, listed and dated, once they have been PUT under
// these names. The ETags are the MD5 of the pattern, or (as with SSE-KMS) no MD5 of anything.
//
// GET /-/counts gives the requests since the last such question as JSON, and this process's CPU time.
// GET /-/connections gives the connections that carried requests since the last such question, and how many of them resumed a
// TLS session.
// GET /-/latency/N makes every later request wait N milliseconds before its answer.
// GET /-/rate/N makes every later connection carry N bytes a second each way, as a connection to S3 does.
// GET /-/limit/N/M answers requests with 503 SlowDown while N others are served, and those beyond M a second; 0 is no limit.
// GET /-/sick/KIND/RATE makes every key with a component that begins with `sick` ill: see `enum sickness`.
// GET /-/bytes gives the bytes of PUT bodies since the last such question: what was sent, and not what was copied.
// GET /-/log gives the lines that were logged since the last such question: a time of CLOCK_MONOTONIC, what happened, the
// path. It logs answered PUTs and completions, and what is done to the ill. Nothing is logged before the first question.
//
// One file, long as it is: it is compiled by one command, and all of it is the one state machine of a connection.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum {
  HEAD_LIMIT = 64 << 10,      // of a request's head; S3 takes 8 KiB
  PATTERN_BYTES = 1 << 20,    // the content's period; test files are made of it too
  BODY_LIMIT = 16 << 20,      // of a POST, in memory
  TAIL_BYTES = 64,            // of an aws-chunked body, enough for the last chunk and a CRC-32 behind it
  MTIME = 1700000000,         // the x-amz-meta-mtime of every generated object, seconds since 1970
};

// Of an object that was PUT; `dated` is 0 before.
typedef struct { time_t dated; char etag[44]; } stored_t;
typedef struct { char name[64]; long directories, each, bytes; char tags[16]; stored_t *stored; } bucket_t;
typedef struct { char *bytes; size_t count, room; } text_t;
typedef struct conn {
  int fd;
  SSL *tls;
  char head[HEAD_LIMIT];
  size_t filled;
  // The request in hand.
  bool in_body, keeps_body, answering, is_s5cmd;
  char method[8], path[4096], query[8192], content_md5[64], crc32[16], range[64], copied[64], source;
  // The end of an aws-chunked body with a trailer.
  char tail[TAIL_BYTES + 1];
  bool has_trailer;
  long length, decoded, rest;
  text_t body;
  // The answer.
  text_t out;
  size_t sent;
  long file_offset, file_rest;
  double due;
  struct conn *next;
  bool waits, closed, hangs, is_sick, is_counted, is_served, is_refused;
} conn_t;

// What befalls requests for the keys that are ill.
enum sickness {
  HEALTHY,
  HANG_PUT,       // no PUT is ever answered, of an object or of a part
  HANG_COMPLETE,  // no CompleteMultipartUpload is ever answered
  BUSY,           // everything is answered with 503 ServiceUnavailable and Retry-After: 30
  SLOW,           // bodies of all their requests together are read at RATE bytes a second
};
static const char *sickness_names[] = {"none", "hang-put", "hang-complete", "busy", "slow"};

enum {
  SLOW_CHUNK = 64 << 10,  // bytes read at once of a slow body, and kept by the kernel
};

static bucket_t buckets[16];
static int bucket_count, epoll, pattern_fd;
static char pattern[PATTERN_BYTES];
static time_t started_at;
static double latency;
static conn_t *delayed_first, *delayed_last;
static enum sickness sickness;
static double slow_rate, slow_free, connection_rate;
static int listener;
static SSL_CTX *tls;
static bool logs;
// Of requests: how many are served now, and how many may be; how many a second may begin, and how many may at this instant.
static long served, most_served;
static double most_a_second, allowance, allowed_at;

// MARK: counts

enum kind { PUT, PART, CREATE, COMPLETE, ABORT, GET, HEAD, HEADBUCKET, LIST, UPLOADS, PARTS, DELETE, DELETES, COPY, PARTCOPY, OTHER, SLOWDOWN, KINDS };
static const char *kind_names[] = {"Put", "UploadPart", "Create", "Complete", "Abort", "Get", "Head", "HeadBucket",
  "List", "ListUploads", "ListParts", "Delete", "DeleteObjects", "Copy", "UploadPartCopy", "other", "SlowDown"};
static long counts[KINDS], received, connections, resumptions;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

// MARK: text

static void need(text_t *text, size_t more) {
  if (text->count + more <= text->room) return;
  text->room = (text->count + more) * 2;
  text->bytes = realloc(text->bytes, text->room);
  if (!text->bytes) abort();
}

static void add(text_t *text, const char *format, ...) {
  va_list list;
  va_start(list, format);
  need(text, 4096);
  int count = vsnprintf(text->bytes + text->count, 4096, format, list);
  va_end(list);
  if (count >= 4096) abort();
  text->count += count;
}

static text_t log_lines;

static void note(const char *what, const conn_t *c) {
  if (logs) add(&log_lines, "%.6f %s %.3000s\n", now(), what, c->path);
}

static void unescape(char *text) {
  char *to = text;
  for (char *from = text; *from; from++) {
    unsigned byte;
    if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) { *to++ = (char)byte; from += 2; }
    else *to++ = *from == '+' ? ' ' : *from;
  }
  *to = 0;
}

// A query's parameter, unescaped; NULL when it is not there. The result lives for seven more calls.
static const char *parameter(conn_t *c, const char *name) {
  static char values[8][4096];
  static int turn;
  size_t length = strlen(name);
  for (char *at = c->query; at && *at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL) {
    if (strncmp(at, name, length) || (at[length] != '=' && at[length] != '&' && at[length])) continue;
    char *value = values[turn++ % 8];
    size_t count = at[length] == '=' ? strcspn(at + length + 1, "&") : 0;
    if (count > 4095) count = 4095;
    memcpy(value, at + length + (at[length] == '='), count);
    value[count] = 0;
    unescape(value);
    return value;
  }
  return NULL;
}

// MARK: what objects are

// The last sizes asked for, with what hashing them gave: a run knows few.
typedef struct { long bytes; char md5[33]; unsigned long crc; } content_t;

static const content_t *content(long bytes) {
  static content_t known[256];
  content_t *slot = &known[(unsigned long)(bytes * 0x9E3779B97F4A7C15UL) >> 56];
  if (slot->bytes == bytes && slot->md5[0]) return slot;
  unsigned char digest[16] = {0};
  slot->bytes = bytes;
  slot->crc = crc32(0, NULL, 0);
  EVP_MD_CTX *md5 = EVP_MD_CTX_new();
  EVP_DigestInit_ex(md5, EVP_md5(), NULL);
  unsigned long period = crc32(0, (unsigned char *)pattern, PATTERN_BYTES);
  for (long done = 0; done < bytes; done += PATTERN_BYTES) {
    long count = bytes - done < PATTERN_BYTES ? bytes - done : PATTERN_BYTES;
    // Objects beyond 64 MiB have the ETag of a multipart upload, which is no MD5 of the content.
    if (bytes <= 64 << 20) EVP_DigestUpdate(md5, pattern, count);
    unsigned long crc = count == PATTERN_BYTES ? period : crc32(0, (unsigned char *)pattern, count);
    slot->crc = crc32_combine(slot->crc, crc, count);
  }
  EVP_DigestFinal_ex(md5, digest, NULL);
  EVP_MD_CTX_free(md5);
  for (int i = 0; i < 16; i++) sprintf(slot->md5 + 2 * i, "%02x", digest[i]);
  return slot;
}

static void base64(const unsigned char *bytes, int count, char *text) { EVP_EncodeBlock((unsigned char *)text, bytes, count); }

static void etag_of(long bytes, char *text) {
  sprintf(text, bytes > 64 << 20 ? "%s-%ld" : "%s", content(bytes)->md5, (bytes + (16 << 20) - 1) / (16 << 20));
}

static long object_count(const bucket_t *b) { return b->directories ? b->directories * b->each : b->each; }

static void key_of(const bucket_t *b, long index, char *key) {
  if (b->directories) sprintf(key, "data/d%04ld/f%06ld", index / b->each, index);
  else strcpy(key, "data/file.bin");
}

// The first index whose key is not less (or, after a marker, greater).
static long lower_bound(const bucket_t *b, const char *text, bool after) {
  long low = 0, high = object_count(b);
  char key[64];
  while (low < high) {
    long middle = (low + high) / 2;
    key_of(b, middle, key);
    int order = strcmp(key, text);
    if (order < 0 || (after && order == 0)) low = middle + 1; else high = middle;
  }
  return low;
}

// Sizes of what was PUT, by a hash of bucket and key. 2^21 places take a million keys.
typedef struct { uint64_t hash; long bytes; } put_t;
static put_t *puts_;
enum { PLACES = 1 << 21 };

static put_t *place(const char *path) {
  uint64_t hash = 0xCBF29CE484222325;
  for (; *path; path++) hash = (hash ^ (unsigned char)*path) * 0x100000001B3;
  size_t at = hash >> 40;
  while (puts_[at % PLACES].hash && puts_[at % PLACES].hash != hash) at++;
  puts_[at % PLACES].hash = hash;
  return &puts_[at % PLACES];
}

static bucket_t *bucket_of(const char *path, const char **key) {
  size_t length = strcspn(path + 1, "/");
  for (int i = 0; i < bucket_count; i++)
    if (strlen(buckets[i].name) == length && !memcmp(buckets[i].name, path + 1, length)) {
      *key = path + 1 + length + (path[1 + length] == '/');
      return &buckets[i];
    }
  return NULL;
}

// The index of a key; -1 where the bucket has no such name.
static long index_of(const bucket_t *b, const char *key) {
  char found[64];
  long index = lower_bound(b, key, false);
  if (index == object_count(b)) return -1;
  key_of(b, index, found);
  return strcmp(found, key) ? -1 : index;
}

// Notes that an object is there, in a bucket that is empty at first, and gives it the tag that its bucket's objects have.
static void note_stored(bucket_t *b, const char *key, char *etag) {
  long index = b->stored ? index_of(b, key) : -1;
  if (index < 0) return;
  stored_t *stored = &b->stored[index];
  stored->dated = time(NULL);
  snprintf(stored->etag, sizeof stored->etag, "%s%s", etag, !strcmp(b->tags, "opaque") && !strchr(etag, '-') ? "-1" : "");
  strcpy(etag, stored->etag);
}

// The size of an object, generated or PUT; -1 when there is none.
static long size_of(const bucket_t *b, const char *key, const char *path) {
  put_t *put = place(path);
  if (put->bytes) return put->bytes - 1;
  return b->stored || index_of(b, key) < 0 ? -1 : b->bytes;
}

// An hour ahead: files made for a measurement must look older than their objects, as they do in a long run, and a
// file's ctime cannot be set back. s5cmd passes over objects dated in the future.
static void date_of_objects(const conn_t *c, const char *format, char *text) {
  time_t t = c->is_s5cmd ? started_at : started_at + 3600;
  strftime(text, 64, format, gmtime(&t));
}

// MARK: answers

static void answer(conn_t *c, int status, const char *headers, const char *body, size_t count) {
  static time_t second;
  static char date[64];
  time_t t = time(NULL);
  if (t != second) strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&t));
  second = t;
  const char *reason = status == 200 ? "OK" : status == 204 ? "No Content" : status == 206 ? "Partial Content"
    : status == 503 ? "Service Unavailable" : "Not Found";
  add(&c->out, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: sink\r\nx-amz-request-id: 0\r\n%s", status, reason, date, headers);
  if (!strstr(headers, "Content-Length") && status != 204) add(&c->out, "Content-Length: %zu\r\n", count);
  add(&c->out, "\r\n");
  need(&c->out, count);
  if (count) memcpy(c->out.bytes + c->out.count, body, count);
  c->out.count += count;
}

static void answer_xml(conn_t *c, int status, text_t *xml) {
  answer(c, status, "Content-Type: application/xml\r\n", xml->bytes, xml->count);
}

static void refuse(conn_t *c, int status, const char *code) {
  char body[256];
  int count = snprintf(body, sizeof body, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code);
  answer(c, status, "Content-Type: application/xml\r\n", body, strcmp(c->method, "HEAD") ? count : 0);
}

static void list(conn_t *c, bucket_t *b) {
  static text_t xml, items;
  xml.count = items.count = 0;
  const char *prefix = parameter(c, "prefix"), *delimiter = parameter(c, "delimiter");
  bool second = parameter(c, "list-type") != NULL;
  const char *after = parameter(c, second ? "continuation-token" : "marker");
  if (!after) after = second ? parameter(c, "start-after") : NULL;
  char from[4096], last[4096] = "";
  snprintf(from, sizeof from, "%s", after ? after : "");
  const char *limit = parameter(c, "max-keys");
  long most = limit ? atol(limit) : 1000, found = 0;
  if (!prefix) prefix = "";
  size_t length = strlen(prefix);
  bool resumed = strcmp(from, prefix) >= 0 && *from;
  long index = lower_bound(b, resumed ? from : prefix, resumed);
  // A token that is a common prefix stands for all below it.
  if (resumed && delimiter && *delimiter && from[strlen(from) - 1] == '/') {
    from[strlen(from) - 1]++;
    index = lower_bound(b, from, false);
  }
  bool truncated = false;
  char etag[64], key[64];
  etag_of(b->bytes, etag);
  char iso[64];
  date_of_objects(c, "%Y-%m-%dT%H:%M:%S.000Z", iso);
  for (; index < object_count(b); index++) {
    if (b->stored && !b->stored[index].dated) continue;
    key_of(b, index, key);
    if (strncmp(key, prefix, length)) break;
    if (found == most) { truncated = true; break; }
    char *cut = delimiter && *delimiter ? strchr(key + length, *delimiter) : NULL;
    found++;
    if (cut) {
      cut[1] = 0;
      strcpy(last, key);
      add(&items, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>", key);
      cut[0]++;
      index = lower_bound(b, key, false) - 1;
    } else {
      strcpy(last, key);
      if (b->stored) {
        strcpy(etag, b->stored[index].etag);
        strftime(iso, sizeof iso, "%Y-%m-%dT%H:%M:%S.000Z", gmtime(&b->stored[index].dated));
      }
      add(&items, "<Contents><Key>%s</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%ld</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>", key, iso, etag, b->bytes);
    }
  }
  add(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Name>%s</Name><Prefix>%s</Prefix><KeyCount>%ld</KeyCount><MaxKeys>%ld</MaxKeys><IsTruncated>%s</IsTruncated>",
    b->name, prefix, found, most, truncated ? "true" : "false");
  if (truncated) add(&xml, second ? "<NextContinuationToken>%s</NextContinuationToken>" : "<NextMarker>%s</NextMarker>", last);
  need(&xml, items.count + 64);
  memcpy(xml.bytes + xml.count, items.bytes, items.count);
  xml.count += items.count;
  add(&xml, "</ListBucketResult>");
  answer_xml(c, 200, &xml);
}

static void get(conn_t *c, bucket_t *b, const char *key, bool is_head) {
  long size = size_of(b, key, c->path);
  if (size < 0) return refuse(c, 404, "NoSuchKey");
  long from = 0, to = size - 1;
  bool ranged = *c->range && sscanf(c->range, "bytes=%ld-%ld", &from, &to) >= 1;
  if (to >= size) to = size - 1;
  char headers[1024], etag[64], crc[16], modified[64];
  date_of_objects(c, "%a, %d %b %Y %H:%M:%S GMT", modified);
  etag_of(size, etag);
  long index = b->stored ? index_of(b, key) : -1;
  if (index >= 0) {
    strcpy(etag, b->stored[index].etag);
    strftime(modified, sizeof modified, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&b->stored[index].dated));
  }
  unsigned long sum = content(size)->crc;
  unsigned char big[4] = {sum >> 24, sum >> 16, sum >> 8, sum};
  base64(big, 4, crc);
  int at = snprintf(headers, sizeof headers, "ETag: \"%s\"\r\nLast-Modified: %s\r\nContent-Length: %ld\r\nAccept-Ranges: bytes\r\n"
    "Content-Type: binary/octet-stream\r\nx-amz-meta-mtime: %d\r\n", etag, modified, to - from + 1, MTIME);
  if (ranged) at += sprintf(headers + at, "Content-Range: bytes %ld-%ld/%ld\r\n", from, to, size);
  else sprintf(headers + at, "x-amz-checksum-crc32: %s\r\nx-amz-checksum-type: FULL_OBJECT\r\n", crc);
  answer(c, ranged ? 206 : 200, headers, NULL, 0);
  if (is_head) return;
  c->file_offset = from % PATTERN_BYTES;
  c->file_rest = to - from + 1;
}

// The ETag S3 gives a multipart upload: the MD5 of the parts' MD5, and their number.
static void complete(conn_t *c, bucket_t *b, const char *key) {
  EVP_MD_CTX *md5 = EVP_MD_CTX_new();
  EVP_DigestInit_ex(md5, EVP_md5(), NULL);
  int parts = 0;
  add(&c->body, " ");
  c->body.bytes[c->body.count - 1] = 0;
  for (char *at = c->body.bytes; (at = strstr(at, "<ETag>")); parts++) {
    unsigned char digest[16];
    at += 6;
    at += strspn(at, "\"");
    if (!strncmp(at, "&quot;", 6)) at += 6;
    if (!strncmp(at, "&#34;", 5)) at += 5;
    for (int i = 0; i < 16; i++) { unsigned byte = 0; sscanf(at + 2 * i, "%2x", &byte); digest[i] = byte; }
    EVP_DigestUpdate(md5, digest, 16);
  }
  unsigned char digest[16];
  char text[64];
  EVP_DigestFinal_ex(md5, digest, NULL);
  EVP_MD_CTX_free(md5);
  for (int i = 0; i < 16; i++) sprintf(text + 2 * i, "%02x", digest[i]);
  sprintf(text + 32, "-%d", parts);
  note_stored(b, key, text);
  static text_t xml;
  xml.count = 0;
  add(&xml, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>\"%s\"</ETag>", b->name, key, text);
  // As for a PUT, the client's word is taken for it.
  if (c->crc32[0]) add(&xml, "<ChecksumCRC32>%s</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>", c->crc32);
  add(&xml, "</CompleteMultipartUploadResult>");
  answer_xml(c, 200, &xml);
}

// The CRC-32 behind an aws-chunked body, taken as if it had come in the head.
static void take_trailer(conn_t *c) {
  static const char name[] = "x-amz-checksum-crc32:";
  const char *found = c->has_trailer ? strstr(c->tail, name) : NULL;
  if (found && sscanf(found + sizeof name - 1, " %15[^\r]", c->crc32) != 1) c->crc32[0] = 0;
}

static void stored(conn_t *c, bucket_t *b, const char *key, bool is_part) {
  take_trailer(c);
  char headers[256], etag[64];
  long size = c->decoded >= 0 ? c->decoded : c->length;
  unsigned char digest[48];
  if (strlen(c->content_md5) == 24 && EVP_DecodeBlock(digest, (unsigned char *)c->content_md5, 24) == 18)
    for (int i = 0; i < 16; i++) sprintf(etag + 2 * i, "%02x", digest[i]);
  else strcpy(etag, content(size)->md5);
  if (!is_part) note_stored(b, key, etag);
  int at = snprintf(headers, sizeof headers, "ETag: \"%s\"\r\n", etag);
  // S3 answers with the checksum that it was sent and has compared; the sink takes the client's word for it. Without
  // the echo a careful client falls back to MD5, which S3 never makes it do.
  if (c->crc32[0]) snprintf(headers + at, sizeof headers - at, "x-amz-checksum-crc32: %s\r\n", c->crc32);
  if (!is_part) place(c->path)->bytes = size + 1;
  else place(c->path)->bytes += size + (place(c->path)->bytes == 0);
  answer(c, 200, headers, NULL, 0);
}

// UploadPartCopy: the answer is that for a stretch of the pattern, which is what a client copies that has sent it.
static void copied(conn_t *c) {
  static text_t xml;
  long from = 0, to = -1;
  xml.count = 0;
  if (sscanf(c->copied, "bytes=%ld-%ld", &from, &to) != 2 || to < from) return refuse(c, 400, "InvalidArgument");
  const content_t *part = content(to - from + 1);
  unsigned char big[4] = {part->crc >> 24, part->crc >> 16, part->crc >> 8, part->crc};
  char crc[16];
  base64(big, 4, crc);
  place(c->path)->bytes += to - from + 1 + (place(c->path)->bytes == 0);
  add(&xml, "<CopyPartResult><ETag>\"%s\"</ETag><ChecksumCRC32>%s</ChecksumCRC32></CopyPartResult>", part->md5, crc);
  answer_xml(c, 200, &xml);
}

static void fall_ill(const char *text) {
  for (int kind = HEALTHY; kind <= SLOW; kind++) {
    size_t length = strlen(sickness_names[kind]);
    if (strncmp(text, sickness_names[kind], length) || (text[length] && text[length] != '/')) continue;
    sickness = kind;
    slow_rate = text[length] ? atof(text + length + 1) : 0;
    // Else the kernel takes megabytes of each body at once, whatever the pace. Accepted sockets inherit it (tcp(7)).
    int room = SLOW_CHUNK;
    if (kind == SLOW) setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    return;
  }
  fprintf(stderr, "sink: no such sickness: %s\n", text);
}

static bool is_control(const conn_t *c) { return !strncmp(c->path, "/-/", 3); }

static void control(conn_t *c) {
  if (!strcmp(c->path, "/-/log")) {
    logs = true;
    answer(c, 200, "", log_lines.bytes, log_lines.count);
    log_lines.count = 0;
    return;
  }
  static text_t json;
  json.count = 0;
  if (!strcmp(c->path, "/-/bytes")) {
    add(&json, "{\"bytes\": %ld}\n", received);
    received = 0;
    return answer(c, 200, "", json.bytes, json.count);
  }
  if (!strcmp(c->path, "/-/connections")) {
    add(&json, "{\"opened\": %ld, \"resumed\": %ld}\n", connections, resumptions);
    connections = resumptions = 0;
    return answer(c, 200, "", json.bytes, json.count);
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  if (!strncmp(c->path, "/-/latency/", 11)) latency = atof(c->path + 11) / 1000;
  if (!strncmp(c->path, "/-/sick/", 8)) fall_ill(c->path + 8);
  if (!strncmp(c->path, "/-/limit/", 9)) {
    most_served = most_a_second = 0;
    sscanf(c->path + 9, "%ld/%lf", &most_served, &most_a_second);
    allowance = 0;
    allowed_at = now();
  }
  if (!strncmp(c->path, "/-/rate/", 8)) {
    connection_rate = atof(c->path + 8);
    // Else the kernel takes megabytes of each body at once, whatever the pace. Accepted sockets inherit it (tcp(7)).
    int room = 512 << 10;
    if (connection_rate > 0) setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
  add(&json, "{\"cpu\": %.6f", usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 + usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6);
  for (int i = 0; i < KINDS; i++) if (counts[i]) add(&json, ", \"%s\": %ld", kind_names[i], counts[i]);
  add(&json, "}\n");
  memset(counts, 0, sizeof counts);
  answer(c, 200, "", json.bytes, json.count);
}

// The request is here whole, its body with it.
static void serve(conn_t *c) {
  if (is_control(c)) return control(c);
  if (!c->is_counted) {
    c->is_counted = true;
    connections++;
    if (c->tls && SSL_session_reused(c->tls)) resumptions++;
  }
  const char *key;
  bucket_t *b = bucket_of(c->path, &key);
  bool put = !strcmp(c->method, "PUT"), is_get = !strcmp(c->method, "GET"), post = !strcmp(c->method, "POST");
  bool head = !strcmp(c->method, "HEAD"), delete = !strcmp(c->method, "DELETE");
  static text_t xml;
  xml.count = 0;
  if (!b) { counts[OTHER]++; return refuse(c, 404, "NoSuchBucket"); }
  if (!*key) {
    if (head) { counts[HEADBUCKET]++; return answer(c, 200, "x-amz-bucket-region: us-east-1\r\n", NULL, 0); }
    if (is_get && parameter(c, "uploads")) {
      counts[UPLOADS]++;
      add(&xml, "<ListMultipartUploadsResult><Bucket>%s</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>", b->name);
      return answer_xml(c, 200, &xml);
    }
    if (is_get && parameter(c, "location")) {
      counts[OTHER]++;
      add(&xml, "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>");
      return answer_xml(c, 200, &xml);
    }
    if (is_get) { counts[LIST]++; return list(c, b); }
    if (post) { counts[DELETES]++; add(&xml, "<DeleteResult/>"); return answer_xml(c, 200, &xml); }
    counts[OTHER]++;
    return answer(c, 200, "", NULL, 0);
  }
  const char *upload = parameter(c, "uploadId");
  if (put && c->source && upload) {
    counts[PARTCOPY]++;
    copied(c);
  } else if (put && c->source) {
    counts[COPY]++;
    add(&xml, "<CopyObjectResult><ETag>\"%s\"</ETag></CopyObjectResult>", content(b->bytes)->md5);
    answer_xml(c, 200, &xml);
  } else if (put) {
    counts[upload ? PART : PUT]++;
    stored(c, b, key, upload != NULL);
    note(upload ? "part" : "put", c);
  } else if (post && parameter(c, "uploads")) {
    counts[CREATE]++;
    place(c->path)->bytes = 0;
    add(&xml, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>u%ld</UploadId></InitiateMultipartUploadResult>",
      b->name, key, random());
    answer_xml(c, 200, &xml);
  } else if (post) { counts[COMPLETE]++; complete(c, b, key); note("complete", c);
  } else if (delete) { counts[upload ? ABORT : DELETE]++; answer(c, 204, "", NULL, 0);
  } else if (is_get && upload) { counts[PARTS]++; refuse(c, 404, "NoSuchUpload");
  } else { counts[head ? HEAD : GET]++; get(c, b, key, head); }
}

// MARK: the connection

static void watch(conn_t *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
}

// Reads, or drops what is read where the buffer is NULL, as recv(2) does with MSG_TRUNC.
static ssize_t take(conn_t *c, void *buffer, size_t count) {
  if (!c->tls) return recv(c->fd, buffer, count, buffer ? 0 : MSG_TRUNC);
  static char dropped[256 << 10];
  if (!buffer && count > sizeof dropped) count = sizeof dropped;
  ERR_clear_error();
  int got = SSL_read(c->tls, buffer ? buffer : dropped, count > INT32_MAX ? INT32_MAX : (int)count);
  if (got > 0) return got;
  if (SSL_get_error(c->tls, got) != SSL_ERROR_WANT_READ) return 0;
  errno = EAGAIN;
  return -1;
}

static ssize_t give(conn_t *c, const void *bytes, size_t count, int flags) {
  if (!c->tls) return send(c->fd, bytes, count, MSG_NOSIGNAL | flags);
  ERR_clear_error();
  int put = SSL_write(c->tls, bytes, count > INT32_MAX ? INT32_MAX : (int)count);
  if (put > 0) return put;
  if (SSL_get_error(c->tls, put) != SSL_ERROR_WANT_WRITE) return 0;
  errno = EAGAIN;
  return -1;
}

// Decides at a request's head whether it is served. What is refused is no part of what is served.
static void admit(conn_t *c) {
  c->is_refused = false;
  if (is_control(c)) return;
  if (most_a_second > 0) {
    double t = now();
    allowance += (t - allowed_at) * most_a_second;
    // A tenth of a second's worth may come at once.
    if (allowance > most_a_second / 10) allowance = most_a_second / 10;
    allowed_at = t;
    c->is_refused = allowance < 1;
  }
  if (most_served > 0 && served >= most_served) c->is_refused = true;
  if (c->is_refused) return;
  if (most_a_second > 0) allowance--;
  c->is_served = true;
  served++;
}

static void leave(conn_t *c) {
  if (c->is_served) served--;
  c->is_served = false;
}

static void hang_up(conn_t *c) {
  leave(c);
  if (c->tls) SSL_free(c->tls);
  close(c->fd);
  c->closed = true;
  // One that waits for its answer is freed when that is due.
  if (c->waits) return;
  free(c->body.bytes);
  free(c->out.bytes);
  free(c);
}

// Sends what there is; false when the connection ended.
// Five milliseconds' worth: small enough for an even pace, large enough to cost no more than without it.
static long paced_chunk(void) { return connection_rate < 200 * SLOW_CHUNK ? SLOW_CHUNK : (long)(connection_rate / 200); }

static void pace(conn_t *c, long count) { c->due = (c->due > now() ? c->due : now()) + count / connection_rate; }

static void wait_until(conn_t *c, double due);

static bool flush(conn_t *c) {
  while (c->sent < c->out.count || c->file_rest > 0) {
    ssize_t count;
    if (c->sent < c->out.count) {
      count = give(c, c->out.bytes + c->sent, c->out.count - c->sent, c->file_rest ? MSG_MORE : 0);
      if (count > 0) c->sent += count;
    } else {
      off_t offset = c->file_offset % PATTERN_BYTES;
      long piece = PATTERN_BYTES - offset < c->file_rest ? PATTERN_BYTES - offset : c->file_rest;
      if (connection_rate > 0) {
        if (c->due > now()) { wait_until(c, c->due); return true; }
        if (piece > paced_chunk()) piece = paced_chunk();
      }
      count = c->tls ? give(c, pattern + offset, piece, 0) : sendfile(c->fd, pattern_fd, &offset, piece);
      if (count > 0) {
        c->file_offset += count;
        c->file_rest -= count;
        if (connection_rate > 0) pace(c, count);
      }
    }
    if (count < 0 && errno == EAGAIN) { watch(c, EPOLLOUT); return true; }
    if (count <= 0) { hang_up(c); return false; }
  }
  c->out.count = c->sent = 0;
  if (c->answering) { c->answering = false; leave(c); watch(c, EPOLLIN); }
  return true;
}

static bool field(const char *line, const char *name, char *value, size_t room) {
  size_t length = strlen(name);
  if (strncasecmp(line, name, length) || line[length] != ':') return false;
  const char *from = line + length + 1;
  from += strspn(from, " ");
  size_t count = strcspn(from, "\r");
  if (count >= room) count = room - 1;
  memcpy(value, from, count);
  value[count] = 0;
  return true;
}

static bool parse(conn_t *c, char *end) {
  *end = 0;
  char target[12288], text[64], agent[256];
  c->length = 0;
  c->decoded = -1;
  c->is_s5cmd = false;
  c->has_trailer = false;
  memset(c->tail, 0, sizeof c->tail);
  c->content_md5[0] = c->crc32[0] = c->range[0] = c->copied[0] = c->source = c->query[0] = 0;
  if (sscanf(c->head, "%7s %12287s", c->method, target) != 2) return false;
  char *question = strchr(target, '?');
  if (question) { *question = 0; snprintf(c->query, sizeof c->query, "%s", question + 1); }
  snprintf(c->path, sizeof c->path, "%s", target);
  unescape(c->path);
  bool continues = false;
  for (char *line = strstr(c->head, "\r\n"); line; line = strstr(line, "\r\n")) {
    line += 2;
    if (field(line, "Content-Length", text, sizeof text)) c->length = atol(text);
    else if (field(line, "x-amz-decoded-content-length", text, sizeof text)) c->decoded = atol(text);
    else if (field(line, "Content-MD5", c->content_md5, sizeof c->content_md5)) continue;
    else if (field(line, "x-amz-checksum-crc32", c->crc32, sizeof c->crc32)) continue;
    else if (field(line, "x-amz-trailer", text, sizeof text)) c->has_trailer = true;
    else if (field(line, "Range", c->range, sizeof c->range)) continue;
    else if (field(line, "x-amz-copy-source-range", c->copied, sizeof c->copied)) continue;
    else if (field(line, "x-amz-copy-source", text, sizeof text)) c->source = 1;
    else if (field(line, "User-Agent", agent, sizeof agent)) c->is_s5cmd = strcasestr(agent, "aws-sdk-go") != NULL;
    else if (field(line, "Expect", text, sizeof text)) continues = true;
    else if (field(line, "Transfer-Encoding", text, sizeof text)) { fprintf(stderr, "sink: chunked body\n"); return false; }
  }
  c->rest = c->length;
  c->keeps_body = !strcmp(c->method, "POST");
  c->body.count = 0;
  if (c->keeps_body && c->length > BODY_LIMIT) return false;
  if (continues && c->rest) return give(c, "HTTP/1.1 100 Continue\r\n\r\n", 25, 0) == 25;
  return true;
}

// Leaves the connection alone until then. The line is in order of time; almost always the newcomer is the last.
static void wait_until(conn_t *c, double due) {
  c->due = due;
  c->waits = true;
  conn_t **at = &delayed_first;
  if (delayed_last && delayed_last->due <= due) at = &delayed_last->next;
  while (*at && (*at)->due <= due) at = &(*at)->next;
  c->next = *at;
  *at = c;
  if (!c->next) delayed_last = c;
  watch(c, 0);
}

static bool hangs(const conn_t *c) {
  if (!c->is_sick) return false;
  if (sickness == HANG_PUT) return !strcmp(c->method, "PUT");
  return sickness == HANG_COMPLETE && !strcmp(c->method, "POST") && strstr(c->query, "uploadId");
}

// True when something may follow at once.
static bool send_answer(conn_t *c) {
  if (latency > 0 && !is_control(c)) {
    wait_until(c, now() + latency);
    return false;
  }
  return flush(c) && !c->answering;
}

// Answers at the head, as S3 does. What comes of the body is dropped.
static bool refuse_request(conn_t *c) {
  c->answering = true;
  c->keeps_body = false;
  counts[SLOWDOWN]++;
  refuse(c, 503, "SlowDown");
  return send_answer(c);
}

// True when something may follow at once.
static bool finish(conn_t *c) {
  c->in_body = false;
  if (c->is_refused) return true;
  c->answering = true;
  if (hangs(c)) {
    note("hung", c);
    c->hangs = true;
    // Else nothing would say that the client has given up.
    watch(c, EPOLLRDHUP);
    return false;
  }
  if (c->is_sick && sickness == BUSY) {
    note("busy", c);
    static const char body[] = "<Error><Code>ServiceUnavailable</Code><Message>Service is unable to handle request.</Message></Error>";
    answer(c, 503, "Retry-After: 30\r\nContent-Type: application/xml\r\n", body, strcmp(c->method, "HEAD") ? sizeof body - 1 : 0);
  } else {
    serve(c);
  }
  return send_answer(c);
}

static void readable(conn_t *c) {
  while (true) {
    if (c->in_body) {
      if (c->rest > 0) {
        ssize_t count;
        bool slow = c->is_sick && sickness == SLOW && !c->keeps_body, paced = slow || connection_rate > 0;
        if (paced && c->due > now()) return wait_until(c, c->due);
        long chunk = slow ? SLOW_CHUNK : paced_chunk();
        if (c->keeps_body) {
          need(&c->body, c->rest);
          count = take(c, c->body.bytes + c->body.count, c->rest);
          if (count > 0) c->body.count += count;
        } else if (c->has_trailer && c->rest <= TAIL_BYTES) {
          count = take(c, c->tail + TAIL_BYTES - c->rest, c->rest);
        } else {
          long dropped = c->has_trailer ? c->rest - TAIL_BYTES : c->rest;
          count = take(c, NULL, paced && dropped > chunk ? chunk : dropped);
        }
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) return hang_up(c);
        c->rest -= count;
        if (!c->keeps_body) received += count;
        if (slow) {
          note("slow", c);
          slow_free = (slow_free > now() ? slow_free : now()) + count / slow_rate;
          c->due = slow_free;
        } else if (paced) {
          pace(c, count);
        }
        continue;
      }
      if (!finish(c)) return;
      continue;
    }
    char *end = c->filled ? memmem(c->head, c->filled, "\r\n\r\n", 4) : NULL;
    if (!end) {
      if (c->filled == HEAD_LIMIT) return hang_up(c);
      ssize_t count = take(c, c->head + c->filled, HEAD_LIMIT - c->filled);
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) return hang_up(c);
      c->filled += count;
      continue;
    }
    if (!parse(c, end + 2)) return hang_up(c);
    size_t used = end + 4 - c->head, extra = c->filled - used;
    size_t taken = extra < (size_t)c->rest ? extra : (size_t)c->rest;
    if (c->keeps_body) { need(&c->body, taken); memcpy(c->body.bytes, c->head + used, taken); c->body.count = taken; }
    // As far as the tail of a trailed body has come with its head.
    if (c->has_trailer && c->rest - (long)taken < TAIL_BYTES) {
      size_t count = taken < TAIL_BYTES ? taken : TAIL_BYTES;
      size_t left = c->rest - taken;
      if (count + left > TAIL_BYTES) count = TAIL_BYTES - left;
      memcpy(c->tail + TAIL_BYTES - left - count, c->head + used + taken - count, count);
    }
    c->rest -= taken;
    if (!c->keeps_body) received += taken;
    c->filled = extra - taken;
    memmove(c->head, c->head + used + taken, c->filled);
    c->in_body = true;
    c->is_sick = sickness && !is_control(c) && strstr(c->path, "/sick");
    c->due = 0;
    admit(c);
    if (c->is_refused && !refuse_request(c)) return;
  }
}

static void answer_due(void) {
  double t = now();
  while (delayed_first && delayed_first->due <= t) {
    conn_t *c = delayed_first;
    delayed_first = c->next;
    if (!delayed_first) delayed_last = NULL;
    c->waits = false;
    if (c->closed) { free(c->body.bytes); free(c->out.bytes); free(c); continue; }
    if (c->answering) {
      // The rest of a refused body may be in a TLS record that was read already.
      if (flush(c) && !c->answering && c->in_body) readable(c);
      continue;
    }
    // Its body is read on.
    watch(c, EPOLLIN);
    readable(c);
  }
}

static int listen_here(const char *port_file) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 1024) || getsockname(fd, (struct sockaddr *)&address, &length)) {
    perror("sink: listen");
    exit(1);
  }
  FILE *file = fopen(port_file, "w");
  if (!file) { perror(port_file); exit(1); }
  fprintf(file, "%d\n", ntohs(address.sin_port));
  fclose(file);
  return fd;
}

// Makes a key and a certificate of 127.0.0.1 that signs itself, and writes the certificate to a file.
static void use_tls(const char *path) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), time(NULL));
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 30 * 24 * 3600);
  X509_NAME *name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (unsigned char *)"127.0.0.1", -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, key);
  X509_EXTENSION *place = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
  X509_EXTENSION *authority = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
  FILE *file = fopen(path, "w");
  tls = SSL_CTX_new(TLS_server_method());
  // A retried write may come from another buffer, and a part of one is progress.
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (X509_add_ext(certificate, place, -1) && X509_add_ext(certificate, authority, -1) && X509_sign(certificate, key, EVP_sha256())
    && file && PEM_write_X509(file, certificate) && fclose(file) == 0
    && SSL_CTX_use_certificate(tls, certificate) == 1 && SSL_CTX_use_PrivateKey(tls, key) == 1) return;
  ERR_print_errors_fp(stderr);
  perror(path);
  exit(1);
}

int main(int count, char **arguments) {
  if (count < 2) return fprintf(stderr, "usage: sink PORT-FILE [CERTIFICATE.pem] BUCKET:DIRECTORIES:FILES-EACH:BYTES...\n"), 2;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  int first_bucket = 2;
  if (count > 2 && !strchr(arguments[2], ':')) {
    use_tls(arguments[2]);
    first_bucket++;
  }
  for (int i = first_bucket; i < count && bucket_count < 16; i++) {
    bucket_t *b = &buckets[bucket_count++];
    int fields = sscanf(arguments[i], "%63[^:]:%ld:%ld:%ld:%15s", b->name, &b->directories, &b->each, &b->bytes, b->tags);
    if (fields < 4) return 2;
    if (fields == 5 && !(b->stored = calloc(object_count(b), sizeof *b->stored))) return 1;
  }
  // xorshift64, the same in bench.py: content that does not compress.
  uint64_t x = 88172645463325252;
  for (int i = 0; i < PATTERN_BYTES; i += 8) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; memcpy(pattern + i, &x, 8); }
  pattern_fd = memfd_create("pattern", MFD_CLOEXEC);
  if (write(pattern_fd, pattern, PATTERN_BYTES) != PATTERN_BYTES) return 1;
  puts_ = mmap(NULL, PLACES * sizeof *puts_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  started_at = time(NULL);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  listener = listen_here(arguments[1]);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  while (true) {
    struct timespec wait = {0}, *timeout = NULL;
    if (delayed_first) {
      double rest = delayed_first->due - now();
      if (rest < 0) rest = 0;
      wait.tv_sec = (time_t)rest;
      wait.tv_nsec = (long)((rest - wait.tv_sec) * 1e9);
      timeout = &wait;
    }
    int ready = epoll_pwait2(epoll, events, 256, timeout, NULL);
    if (ready < 0 && errno != EINTR) return perror("epoll"), 1;
    for (int i = 0; i < ready; i++) {
      conn_t *c = events[i].data.ptr;
      if (!c) {
        int fd;
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
          int one = 1;
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          conn_t *new = calloc(1, sizeof *new);
          if (!new) abort();
          new->fd = fd;
          if (tls) {
            if (!(new->tls = SSL_new(tls)) || !SSL_set_fd(new->tls, fd)) abort();
            // The first read does the handshake.
            SSL_set_accept_state(new->tls);
          }
          struct epoll_event first = {.events = EPOLLIN, .data.ptr = new};
          epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &first);
        }
      } else if (c->hangs) {
        hang_up(c);
      } else if (c->waits) {
        // Only an error or a hang-up is told while the answer waits.
        if (events[i].events & (EPOLLERR | EPOLLHUP)) hang_up(c);
      } else if (c->answering) {
        if (flush(c) && !c->answering) readable(c);
      } else {
        readable(c);
      }
    }
    answer_due();
  }
}
