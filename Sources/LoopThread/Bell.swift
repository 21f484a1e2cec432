import CLinux
import Glibc

/// A semaphore that can be waited for with a time limit that nobody's setting of the clock moves.
///
/// Dispatch's own turns a limit into a time of day (sem_timedwait(3)), and waits for it to come.
///
/// `@unchecked Sendable`: the semaphore's memory is its own to share between threads (sem_overview(7)), and lives as long as
/// this object.
final class Bell: @unchecked Sendable {
  // SAFETY: made in init, freed in deinit; whoever waits or rings holds this object.
  private let semaphore: UnsafeMutablePointer<sem_t>

  init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  /// Ends one wait: the one that lasts longest, or else the next.
  func ring() {
    sem_post(semaphore)
  }

  func wait() {
    while sem_wait(semaphore) != 0, errno == EINTR {}
  }

  /// Whether it was rung before the time was over. Time that the machine is suspended does not count.
  func wait(atMost time: Duration) -> Bool {
    let (seconds, attoseconds) = min(max(time, .zero), Self.longestWait).components
    var deadline = timespec()
    clock_gettime(CLOCK_MONOTONIC, &deadline)
    let nanoseconds = deadline.tv_nsec + Int(attoseconds / 1_000_000_000)
    deadline.tv_sec += Int(seconds) + nanoseconds / 1_000_000_000
    deadline.tv_nsec = nanoseconds % 1_000_000_000
    while s3m_wait_for_semaphore(semaphore, &deadline) != 0 {
      if errno != EINTR { return false }
    }
    return true
  }

  /// A year: what a longer wait is cut to, far below what a timespec can hold.
  private static let longestWait = Duration.seconds(365 * 86_400)
}
