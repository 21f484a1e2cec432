import CLinux
import Glibc

/// A semaphore with a timed wait that changes of the system time do not affect.
///
/// Dispatch's semaphore converts the duration into a time of day and waits for that (sem_timedwait(3)).
///
/// `@unchecked Sendable`: threads may share the semaphore's memory (sem_overview(7)), which lives as long as
/// this object.
final class Bell: @unchecked Sendable {
  // SAFETY: created in init, freed in deinit; a thread that waits or rings holds this object.
  private let semaphore: UnsafeMutablePointer<sem_t>

  init() {
    semaphore = .allocate(capacity: 1)
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  /// Ends one wait: the longest present one, or else the next one.
  func ring() {
    sem_post(semaphore)
  }

  func wait() {
    while sem_wait(semaphore) != 0, errno == EINTR {}
  }

  /// Whether it was rung before the time was over. Time in which the machine is suspended does not count.
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

  /// A year. Longer waits are cut to it; it is far below the limit of a timespec.
  private static let longestWait = Duration.seconds(365 * 86_400)
}
