// Linux system calls and constants that Swift's Glibc module does not show: GNU extensions, macros and variadics.
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <malloc.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
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
// open(2): asm-generic/fcntl.h, the same on x86-64 and arm64.
#define S3M_O_NOATIME 01000000
#define S3M_O_PATH 010000000
// utimensat(2): "leave this time alone", a cast that Swift does not import.
enum { S3M_UTIME_OMIT = (1 << 30) - 2 };

// openat2(2), since Linux 5.6; glibc has no wrapper before 2.43.
static inline int s3m_open_beneath(int directory, const char *path, int flags, mode_t mode) {
  struct open_how how = {.flags = (unsigned)flags, .mode = mode,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
  return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}
// getdents64(2): one call a buffer, where readdir(3) is one call a name.
static inline long s3m_read_directory(int directory, void *buffer, size_t size) {
  return syscall(SYS_getdents64, directory, buffer, size);
}
// fallocate(2), hidden without _GNU_SOURCE. Not posix_fallocate(3): where the filesystem cannot, that writes every block.
static inline int s3m_allocate(int descriptor, off_t size) {
  return (int)syscall(SYS_fallocate, descriptor, 0, (off_t)0, size);
}
// open(2), O_TMPFILE: a file without a name. O_DIRECTORY, which it holds, differs between architectures.
static const int S3M_O_TMPFILE = 020000000 | O_DIRECTORY;
// ioctl_ficlone(2): shares all blocks of a file, as they are at one instant; -1 where the filesystem cannot.
static inline int s3m_clone_file(int target, int source) { return ioctl(target, FICLONE, source); }
static inline int s3m_fstatfs(int descriptor, struct statfs *result) { return fstatfs(descriptor, result); }
// statx(2) of what is mounted at a path, hidden without _GNU_SOURCE. No automount is triggered (AT_NO_AUTOMOUNT, 0x800), and no
// server is asked (AT_STATX_DONT_SYNC, 0x4000).
struct s3m_mounted {
  // A number that no other mount gets (STATX_MNT_ID_UNIQUE, 0x4000, since Linux 6.8), before that one that a later mount may
  // get (STATX_MNT_ID), and 0 before Linux 5.8.
  unsigned long long mount;
  unsigned long long inode;
  unsigned major;
  unsigned minor;
  // Of the mount's first directory, in nanoseconds; 0 where the filesystem keeps none.
  long long birth;
  // Whether the path is where a mount begins: 1 or 0, and -1 where the kernel does not tell.
  int is_mount;
};
static inline int s3m_look_at_mount(int directory, const char *path, int flags, struct s3m_mounted *result) {
  struct statx status = {0};
  unsigned wanted = STATX_INO | STATX_BTIME | STATX_MNT_ID | 0x4000;
  if (syscall(SYS_statx, directory, path, flags | 0x800 | 0x4000, wanted, &status) != 0) return -1;
  *result = (struct s3m_mounted){
      .mount = status.stx_mask & (STATX_MNT_ID | 0x4000) ? status.stx_mnt_id : 0,
      .inode = status.stx_ino,
      .major = status.stx_dev_major,
      .minor = status.stx_dev_minor,
      .birth = status.stx_mask & STATX_BTIME
                   ? (long long)status.stx_btime.tv_sec * 1000000000 + status.stx_btime.tv_nsec
                   : 0,
      .is_mount = status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT
                      ? (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0
                      : -1,
  };
  return 0;
}
// sem_clockwait(3), glibc 2.30, hidden without _GNU_SOURCE: until a time of the clock that is never set.
int sem_clockwait(sem_t *, clockid_t, const struct timespec *);
static inline int s3m_wait_for_semaphore(sem_t *semaphore, const struct timespec *deadline) {
  return sem_clockwait(semaphore, CLOCK_MONOTONIC, deadline);
}
// prctl(2), PR_SET_NAME: the calling thread's name, of which 15 bytes are kept.
static inline int s3m_set_thread_name(const char *name) { return prctl(PR_SET_NAME, name); }

// setpriority(2) and ioprio_set(2) for the calling thread, which on Linux is what "process 0" names. Every thread may lower
// its own; best effort's last level, not the idle class: behind a disk that is never idle that one would not move at all.
static inline int s3m_lower_priority(int niceness) {
  int failed = setpriority(PRIO_PROCESS, 0, niceness);
  failed |= (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
  return failed;
}
// preadv2(2), hidden without _GNU_SOURCE: RWF_NOWAIT (8) reads what is in the page cache, and fails with EAGAIN for the rest.
static inline long s3m_read_cached(int descriptor, void *buffer, size_t size, off_t offset) {
  struct iovec vector = {.iov_base = buffer, .iov_len = size};
  return syscall(SYS_preadv2, descriptor, &vector, 1, (long)offset, 0L, 8);
}

// pipe2(2), hidden without _GNU_SOURCE.
static inline int s3m_pipe(int *reader, int *writer) {
  int ends[2];
  if (syscall(SYS_pipe2, ends, O_CLOEXEC) != 0) return -1;
  *reader = ends[0];
  *writer = ends[1];
  return 0;
}

// posix_spawn_file_actions_addclosefrom_np(3), glibc 2.34, hidden without _GNU_SOURCE.
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

// A signal handler that only writes two bytes to a pipe: the signal's number, and whether the kernel itself sent it
// (signal(7), SI_KERNEL), as it does for the terminal's interrupt. Swift code must not run in a handler.
static int s3m_signal_pipe = -1;

static void s3m_note_signal(int number, siginfo_t *details, void *context) {
  (void)context;
  int saved = errno;
  unsigned char message[2] = {(unsigned char)number, details->si_code == SI_KERNEL};
  // A full pipe means that thousands wait unread; one more says nothing new.
  ssize_t ignored = write(s3m_signal_pipe, message, sizeof message);
  (void)ignored;
  errno = saved;
}

// Whether a signal is ignored now (sigaction(2)): its handler is a union, which Swift does not import by name.
static inline int s3m_is_ignored(int number) {
  struct sigaction now;
  return sigaction(number, 0, &now) == 0 && now.sa_handler == SIG_IGN;
}

static inline int s3m_forward_signal(int number, int descriptor) {
  struct sigaction action = {0};
  s3m_signal_pipe = descriptor;
  action.sa_sigaction = s3m_note_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  return sigaction(number, &action, 0);
}

// SIGCHLD: a byte into a pipe, once for any number of children (signal(7)). Stopped children are no news.
static volatile int s3m_child_pipe = -1;

static inline void s3m_note_child(int number) {
  (void)number;
  int saved = errno;
  char one = 1;
  ssize_t ignored = write(s3m_child_pipe, &one, 1);
  (void)ignored;
  errno = saved;
}

static inline int s3m_forward_child_signal(int descriptor) {
  struct sigaction action = {0};
  s3m_child_pipe = descriptor;
  action.sa_handler = s3m_note_child;
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  return sigaction(SIGCHLD, &action, 0);
}

// waitid(2): a child that has ended, left as it is; 0 where there is none. The member is one of a union.
static inline pid_t s3m_ended_child(void) {
  siginfo_t info = {0};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

// pidfd_open(2), since Linux 5.3; glibc has no wrapper before 2.36. The descriptor is close-on-exec, and readable once the process
// has ended, whether or not its status was taken.
static inline int s3m_open_process(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

// Whether orphans become children of this process: it is the first of its PID namespace (pid_namespaces(7)), or has asked
// for them (PR_SET_CHILD_SUBREAPER(2const)).
static inline int s3m_inherits_orphans(void) {
  int is_subreaper = 0;
  return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) == 0 && is_subreaper);
}

// unix(7): an address is a path of at most 107 bytes, in a structure that Swift imports as a tuple of 108 numbers.
static inline int s3m_local_address(const char *path, struct sockaddr_un *address) {
  size_t length = strlen(path);
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (length >= sizeof address->sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address->sun_path, path, length);
  return 0;
}
static inline int s3m_bind_local(int descriptor, const char *path) {
  struct sockaddr_un address;
  if (s3m_local_address(path, &address) != 0) return -1;
  return bind(descriptor, (const struct sockaddr *)&address, sizeof address);
}
static inline int s3m_connect_local(int descriptor, const char *path) {
  struct sockaddr_un address;
  if (s3m_local_address(path, &address) != 0) return -1;
  return connect(descriptor, (const struct sockaddr *)&address, sizeof address);
}
static inline int s3m_local_socket(void) {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}
// unix(7): a connect(2) waits while the listener's queue is full, as long as SO_SNDTIMEO says; without blocking it fails at once.
static inline int s3m_local_client_socket(int patience_seconds) {
  struct timeval patience = {.tv_sec = patience_seconds};
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return descriptor;
}
// unix(7), Abstract sockets: such a name begins with a NUL, which the service manager writes as an @ (sd_notify(3)).
static inline int s3m_notify_address(const char *name, struct sockaddr_un *address, socklen_t *size) {
  if (s3m_local_address(name, address) != 0) return -1;
  size_t length = strlen(name);
  if (name[0] == '@') address->sun_path[0] = 0;
  *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] != '@'));
  return 0;
}
// A datagram waits while the receiver's queue is full, as long as SO_SNDTIMEO says (socket(7)).
static inline int s3m_datagram_socket(int patience_seconds) {
  struct timeval patience = {.tv_sec = patience_seconds};
  int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return descriptor;
}
static inline long s3m_send_datagram(int descriptor, const char *name, const void *bytes, size_t size) {
  struct sockaddr_un address;
  socklen_t length;
  if (s3m_notify_address(name, &address, &length) != 0) return -1;
  return sendto(descriptor, bytes, size, MSG_NOSIGNAL, (const struct sockaddr *)&address, length);
}
static inline int s3m_bind_datagram(int descriptor, const char *name) {
  struct sockaddr_un address;
  socklen_t length;
  if (s3m_notify_address(name, &address, &length) != 0) return -1;
  return bind(descriptor, (const struct sockaddr *)&address, length);
}
// accept4(2), hidden without _GNU_SOURCE; a child of ours must not inherit the connection.
static inline int s3m_accept_local(int descriptor) {
  return (int)syscall(SYS_accept4, descriptor, (void *)0, (void *)0, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
// unix(7), SO_PEERCRED: who made the other end, as the kernel noted it. The structure is hidden without _GNU_SOURCE.
static inline int s3m_peer_user(int descriptor, uid_t *user) {
  struct { pid_t pid; uid_t uid; gid_t gid; } peer;
  socklen_t size = sizeof peer;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
  *user = peer.uid;
  return 0;
}
// send(2): a peer that has left is EPIPE, not a signal. MSG_NOSIGNAL is an enumeration's member, which Swift does not show.
static inline long s3m_send_local(int descriptor, const void *bytes, size_t size) {
  return send(descriptor, bytes, size, MSG_NOSIGNAL);
}
