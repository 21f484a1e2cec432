// A writer whose file tells by itself which version every page of it is from (pages.py reads that).
//
//   writer closing|appending|single-write|mapped PATH SPARE BYTES FILE SEED
//
// Each page ends in its own CRC-32. That makes the CRC-32 of a whole the same for all generations, so that who compares
// by it alone takes any mixture of pages for either.
//
// It writes generation 1 and prints "GENERATION BEGAN ENDED" (seconds since 1970). Each line on its standard input asks
// for another modification and is answered alike; at the end of the input it finishes what is half done, closes and ends.
// SPARE is a path outside of what is mirrored: files to be renamed, and the slow source of a single write, lie there.
//
// - closing: opens, writes front to back with pauses, closes: in place, truncated first, or a new file renamed over it.
// - appending: one descriptor, open to the end; pieces of any length.
// - single-write: each generation is one write(2). Half of them come from an evicted mapping, page by page from the disk,
//   so that one write lasts for seconds.
// - mapped: stores through a shared mapping, page after page, half of them to pages that are dirty already; unmapped at
//   a random moment.

#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { PAGE = 4096, WORDS_AT = 40, WORDS_END = 4088, SUM_AT = 4092 };
// Longer than two ticks of the trial (--interval 0.5): a file must not be published in such a pause, because it is still mapped.
enum { LONG_PAUSE_MS = 1500 };

static const char *path, *spare;
static uint64_t file, generation, pages, randomness;
static double began;            // the newest modification
static int held = -1;           // of appenders, and of half of the single writers
static bool holds;
static uint64_t appended;       // bytes
static unsigned char *mapping;
static uint64_t stored;         // pages of the mapped file's newest generation

static void check(bool is_good, const char *what) {
  if (is_good) return;
  perror(what);
  exit(1);
}

// xorshift64*, enough to scatter moments.
static uint64_t below(uint64_t bound) {
  randomness ^= randomness >> 12;
  randomness ^= randomness << 25;
  randomness ^= randomness >> 27;
  return (randomness * 0x2545F4914F6CDD1DULL >> 16) % bound;
}

static void pause_ms(uint64_t most) {
  struct timespec time = {0, (below(most * 1000) + 1) * 1000};
  time.tv_sec = time.tv_nsec / 1000000000;
  time.tv_nsec %= 1000000000;
  nanosleep(&time, NULL);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

// `total` is the generation's length in pages; 0 for an appender, which has none.
static void fill(unsigned char *page, uint64_t number, uint64_t of, uint64_t total) {
  uint64_t head[5] = {0x3145474150334D53ULL, file, of, number, total};
  uint64_t word = of * 0x9E3779B97F4A7C15ULL ^ number * 0xBF58476D1CE4E5B9ULL ^ file;
  memcpy(page, head, sizeof head);
  for (int at = WORDS_AT; at < WORDS_END; at += 8) memcpy(page + at, &word, 8);
  memset(page + WORDS_END, 0, SUM_AT - WORDS_END);
  uint32_t sum = crc32(0, page, SUM_AT);
  memcpy(page + SUM_AT, &sum, 4);
}

static void put(int descriptor, const unsigned char *bytes, size_t count, off_t offset) {
  while (count) {
    ssize_t done = pwrite(descriptor, bytes, count, offset);
    check(done > 0, "pwrite");
    bytes += done, count -= done, offset += done;
  }
}

// Front to back, in pieces, with pauses that never come near the gap between two reads of a snapshot.
static void write_generation(int descriptor) {
  static unsigned char piece[256 * PAGE];
  for (uint64_t number = 0; number < pages;) {
    uint64_t count = 1 + below(256);
    if (count > pages - number) count = pages - number;
    for (uint64_t each = 0; each < count; each++) fill(piece + each * PAGE, number + each, generation, pages);
    put(descriptor, piece, count * PAGE, number * PAGE);
    number += count;
    if (below(4) == 0) pause_ms(60);
  }
}

static void write_closing(void) {
  uint64_t way = generation == 1 ? 1 : below(4);
  // In place nothing is cut off, so the new generation covers all of the old one.
  if (below(2)) pages = way == 0 ? pages + below(pages / 8 + 1) : pages - below(pages / 4 + 1);
  if (way == 0) {
    struct stat status;
    check(stat(path, &status) == 0, "stat");
    if (pages * PAGE < (uint64_t)status.st_size) pages = status.st_size / PAGE;
  }
  char beside[4096];
  // Renamed from outside of the tree, or from within.
  snprintf(beside, sizeof beside, "%s.next", way == 2 ? spare : path);
  const char *target = way >= 2 ? beside : path;
  int descriptor = open(target, O_WRONLY | O_CREAT | (way == 0 ? 0 : O_TRUNC), 0644);
  check(descriptor >= 0, target);
  write_generation(descriptor);
  close(descriptor);
  if (way >= 2) check(rename(beside, path) == 0, "rename");
}

static void append(void) {
  if (held < 0) held = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  check(held >= 0, path);
  uint64_t end = generation == 1 ? pages * PAGE / 2 : appended + 1 + below(pages * PAGE / 6);
  while (appended < end) {
    static unsigned char piece[130 * PAGE];
    uint64_t first = appended / PAGE, skipped = appended % PAGE, count = 1 + below(128 * PAGE);
    if (count > end - appended) count = end - appended;
    for (uint64_t each = 0; each * PAGE < skipped + count; each++) fill(piece + each * PAGE, first + each, 0, 0);
    ssize_t done = write(held, piece + skipped, count);
    check(done > 0, "write");
    appended += done;
    if (below(4) == 0) pause_ms(60);
  }
}

static void write_at_once(void) {
  size_t bytes = pages * PAGE;
  bool is_slow = generation > 1 && below(2);
  char slow[4096];
  snprintf(slow, sizeof slow, "%s.source", spare);
  int source = is_slow ? open(slow, O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
  check(!is_slow || (source >= 0 && ftruncate(source, bytes) == 0), slow);
  int sharing = is_slow ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
  unsigned char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing, source, 0);
  check(memory != MAP_FAILED, "mmap");
  for (uint64_t number = 0; number < pages; number++) fill(memory + number * PAGE, number, generation, pages);
  if (is_slow) {
    check(msync(memory, bytes, MS_SYNC) == 0, "msync");
    munmap(memory, bytes);
    posix_fadvise(source, 0, 0, POSIX_FADV_DONTNEED);
    memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, source, 0);
    check(memory != MAP_FAILED, "mmap");
    madvise(memory, bytes, MADV_RANDOM);
  }
  int descriptor = held;
  if (descriptor < 0) descriptor = open(path, O_WRONLY | O_CREAT, 0644);
  check(descriptor >= 0, path);
  began = now();
  check(pwrite(descriptor, memory, bytes, 0) == (ssize_t)bytes, "the single write");
  if (holds) held = descriptor;
  else close(descriptor);
  munmap(memory, bytes);
  if (is_slow) close(source), unlink(slow);
}

static void map(void) {
  int descriptor = open(path, O_RDWR | O_CREAT, 0644);
  check(descriptor >= 0 && ftruncate(descriptor, pages * PAGE) == 0, path);
  mapping = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  check(mapping != MAP_FAILED, "mmap");
  close(descriptor);
  // A read before the store, as `array += 1` makes it. Where pages are mapped writable at once, no store faults then.
  volatile unsigned char seen = 0;
  if (below(2)) for (uint64_t number = 0; number < pages; number++) seen += mapping[number * PAGE];
}

static void unmap(void) {
  if (mapping) munmap(mapping, pages * PAGE);
  mapping = NULL;
}

// Up to `until` pages of the newest generation are stored when it returns.
static void store(uint64_t until, uint64_t pauses_in) {
  for (; stored < until; stored++) {
    fill(mapping + stored * PAGE, stored, generation, pages);
    if (pauses_in && below(pauses_in) == 0) pause_ms(below(12) ? 60 : LONG_PAUSE_MS);
  }
}

// Each asked-for modification is two generations: one that dirties all pages, one of stores to dirty pages.
static void store_mapped(void) {
  if (!mapping) map();
  if (generation > 1) {
    // A generation that was left half stored is finished first: a file never holds more than two.
    generation -= 1;
    store(pages, 0);
    generation += 1;
  }
  stored = 0;
  if (generation > 1 && below(2)) {
    store(pages, 0);
    generation += 1;
    stored = 0;
  }
  // Half of them are over in milliseconds: the writer has come and gone within one upload.
  bool is_slow = generation > 1 && below(2);
  store(generation > 1 && below(2) ? below(pages) : pages, is_slow ? pages / 24 + 1 : 0);
  if (is_slow) pause_ms(300);
  if (!is_slow || below(2)) unmap();
}

static void finish_mapped(void) {
  if (!mapping) map();
  store(pages, 0);
  unmap();
}

int main(int count, char **arguments) {
  if (count != 7) return 2;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  path = arguments[2], spare = arguments[3];
  pages = strtoull(arguments[4], NULL, 10) / PAGE;
  file = strtoull(arguments[5], NULL, 10);
  randomness = strtoull(arguments[6], NULL, 10) | 1;
  char kind = arguments[1][0];
  holds = below(2);
  char line[64];
  do {
    generation += 1;
    began = now();
    if (kind == 'c') write_closing();
    else if (kind == 'a') append();
    else if (kind == 's') write_at_once();
    else store_mapped();
    printf("%llu %.6f %.6f\n", (unsigned long long)generation, began, now());
    fflush(stdout);
  } while (fgets(line, sizeof line, stdin));
  if (kind == 'm') finish_mapped();
  return 0;
}
