// Linux system calls and constants that Swift's Glibc module does not show: GNU extensions, macros and variadics.
#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

// fcntl(2), Leases: 1024 + 0 and 1024 + 1 (F_LINUX_SPECIFIC_BASE), hidden without _GNU_SOURCE.
#define S3M_F_SETLEASE 1024
#define S3M_F_GETLEASE 1025
#define S3M_F_SETSIG 10

static inline int s3m_set_lease(int descriptor, int kind) {
  return fcntl(descriptor, S3M_F_SETLEASE, kind);
}
static inline int s3m_get_lease(int descriptor) { return fcntl(descriptor, S3M_F_GETLEASE); }
// fcntl(2), F_SETSIG: the signal that announces a lease break; without it SIGIO, which kills by default.
static inline int s3m_set_lease_signal(int descriptor, int signal) {
  return fcntl(descriptor, S3M_F_SETSIG, signal);
}
static inline int s3m_open_at(int directory, const char *path, int flags, mode_t mode) {
  return openat(directory, path, flags, mode);
}
static inline int s3m_fstatfs(int descriptor, struct statfs *result) { return fstatfs(descriptor, result); }
// prctl(2), PR_SET_NAME: the calling thread's name, of which 15 bytes are kept.
static inline int s3m_set_thread_name(const char *name) { return prctl(PR_SET_NAME, name); }
