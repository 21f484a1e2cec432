// The least that a client on libcurl's multi interface can do: no signature, no checksum, no comparison.
// What `Scripts/bench` measures s3mirror against.
//
//   sender up-large   URL FILE      WIDTH PART-BYTES    parts of a file by PUT, read as they are sent
//   sender down-large URL FILE      WIDTH PART-BYTES    ranges into a file
//   sender up-small   URL DIRECTORY WIDTH COUNT         files dNNNN/fNNNNNN of 100 to a directory, one PUT each
//   sender down-small URL DIRECTORY WIDTH COUNT
//
// Over TLS it trusts the certificates of the file that AWS_CA_BUNDLE names.

#define _GNU_SOURCE
#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EACH = 100 };

typedef struct { CURL *easy; int fd; off_t offset, end; } transfer_t;
static const char *url, *local;
static int file = -1, is_up, is_large;
static long part_bytes, total, started, finished, size;
static CURLM *multi;

static size_t read_body(char *buffer, size_t unit, size_t count, void *context) {
  transfer_t *t = context;
  size_t most = unit * count, rest = t->end - t->offset;
  ssize_t got = pread(t->fd, buffer, most < rest ? most : rest, t->offset);
  if (got < 0) return CURL_READFUNC_ABORT;
  t->offset += got;
  return got;
}

static size_t write_body(char *bytes, size_t unit, size_t count, void *context) {
  transfer_t *t = context;
  ssize_t put = pwrite(t->fd, bytes, unit * count, t->offset);
  if (put > 0) t->offset += put;
  return put;
}

static size_t drop_body(char *bytes, size_t unit, size_t count, void *context) {
  (void)bytes; (void)context;
  return unit * count;
}

static void check(int is_good, const char *what) {
  if (is_good) return;
  perror(what);
  exit(1);
}

static void start(transfer_t *t) {
  char text[4096], range[64];
  long index = started++;
  if (is_large) {
    t->fd = file;
    t->offset = index * part_bytes;
    t->end = t->offset + part_bytes < size ? t->offset + part_bytes : size;
    snprintf(text, sizeof text, is_up ? "%s?partNumber=%ld&uploadId=u" : "%s", url, index + 1);
    snprintf(range, sizeof range, "%ld-%ld", (long)t->offset, (long)t->end - 1);
    if (!is_up) curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
  } else {
    snprintf(text, sizeof text, "%s/d%04ld", local, index / EACH);
    if (!is_up && index % EACH == 0) mkdir(text, 0777);
    snprintf(text, sizeof text, "%s/d%04ld/f%06ld", local, index / EACH, index);
    t->fd = open(text, (is_up ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC) | O_CLOEXEC, 0666);
    check(t->fd >= 0, text);
    struct stat status;
    check(fstat(t->fd, &status) == 0, text);
    t->offset = 0;
    t->end = status.st_size;
    snprintf(text, sizeof text, "%s/d%04ld/f%06ld", url, index / EACH, index);
  }
  curl_easy_setopt(t->easy, CURLOPT_URL, text);
  if (is_up) curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(t->end - t->offset));
  curl_multi_add_handle(multi, t->easy);
}

static void prepare(transfer_t *t) {
  static struct curl_slist *headers;
  if (!headers) headers = curl_slist_append(NULL, "Expect:");
  t->easy = curl_easy_init();
  curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
  curl_easy_setopt(t->easy, CURLOPT_FAILONERROR, 1L);
  if (getenv("AWS_CA_BUNDLE")) curl_easy_setopt(t->easy, CURLOPT_CAINFO, getenv("AWS_CA_BUNDLE"));
  curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, headers);
  if (is_up) {
    curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, read_body);
    curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, drop_body);
    if (is_large) curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
  } else {
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, write_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    if (is_large) curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, 512L << 10);
  }
}

int main(int count, char **arguments) {
  if (count != 6) return fprintf(stderr, "usage: sender up-large|down-large|up-small|down-small URL LOCAL WIDTH N\n"), 2;
  is_up = strncmp(arguments[1], "up", 2) == 0;
  is_large = strstr(arguments[1], "large") != NULL;
  url = arguments[2];
  local = arguments[3];
  long width = atol(arguments[4]);
  curl_global_init(CURL_GLOBAL_ALL);
  multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, width);
  if (is_large) {
    part_bytes = atol(arguments[5]);
    file = open(local, is_up ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0666);
    check(file >= 0, local);
    if (is_up) {
      size = lseek(file, 0, SEEK_END);
    } else {
      CURL *head = curl_easy_init();
      curl_off_t length = 0;
      curl_easy_setopt(head, CURLOPT_URL, url);
      curl_easy_setopt(head, CURLOPT_NOBODY, 1L);
      if (getenv("AWS_CA_BUNDLE")) curl_easy_setopt(head, CURLOPT_CAINFO, getenv("AWS_CA_BUNDLE"));
      curl_easy_perform(head);
      curl_easy_getinfo(head, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
      curl_easy_cleanup(head);
      size = length;
      check(size > 0 && fallocate(file, 0, 0, size) == 0, "fallocate");
    }
    total = (size + part_bytes - 1) / part_bytes;
  } else {
    total = atol(arguments[5]);
    if (!is_up) mkdir(local, 0777);
  }
  transfer_t *transfers = calloc(width, sizeof *transfers);
  for (long i = 0; i < width && started < total; i++) { prepare(&transfers[i]); start(&transfers[i]); }
  while (finished < total) {
    int running, left;
    curl_multi_perform(multi, &running);
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left))) {
      if (message->data.result != CURLE_OK) return fprintf(stderr, "sender: %s\n", curl_easy_strerror(message->data.result)), 1;
      transfer_t *t;
      CURL *easy = message->easy_handle;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
      curl_multi_remove_handle(multi, easy);
      if (!is_large) close(t->fd);
      finished++;
      if (started < total) start(t);
    }
    if (finished < total) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  return 0;
}
