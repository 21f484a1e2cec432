// Lets the thread sanitizer see Swift's Mutex; loaded before the tests by Scripts/sanitize.
//
// The fast paths of Synchronization.Mutex are inlined into what is built, and so the sanitizer sees their atomics. The slow
// paths, where threads wait for each other, lie in libswiftSynchronization.so, which is built without the sanitizer. Without
// these edges every state behind a Mutex that was ever contended counts as a race. Each wrapper calls the library's function
// and reports what it does (compiler-rt, tsan_interface.h).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

// Swift passes `self` in a register of its own (clang, "swiftcall", "swift_context").
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

static SWIFT void (*lock_of_library)(uint32_t, SELF);
static SWIFT bool (*try_of_library)(SELF);
static SWIFT void (*unlock_of_library)(SELF);
static void (*tsan_acquire)(void *), (*tsan_release)(void *);

__attribute__((constructor)) static void find(void) {
  *(void **)&lock_of_library = dlsym(RTLD_NEXT, LOCK);
  *(void **)&try_of_library = dlsym(RTLD_NEXT, TRY);
  *(void **)&unlock_of_library = dlsym(RTLD_NEXT, UNLOCK);
  *(void **)&tsan_acquire = dlsym(RTLD_DEFAULT, "__tsan_acquire");
  *(void **)&tsan_release = dlsym(RTLD_DEFAULT, "__tsan_release");
}

SWIFT void lock_slowly(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void lock_slowly(uint32_t thread, SELF) {
  if (!lock_of_library) abort();
  lock_of_library(thread, self);
  if (tsan_acquire) tsan_acquire(self);
}

SWIFT bool try_slowly(SELF) __asm__(TRY);
SWIFT bool try_slowly(SELF) {
  if (!try_of_library) abort();
  bool is_locked = try_of_library(self);
  if (is_locked && tsan_acquire) tsan_acquire(self);
  return is_locked;
}

SWIFT void unlock_slowly(SELF) __asm__(UNLOCK);
SWIFT void unlock_slowly(SELF) {
  if (!unlock_of_library) abort();
  if (tsan_release) tsan_release(self);
  unlock_of_library(self);
}
