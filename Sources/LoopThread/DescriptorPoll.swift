import CLinux
import Glibc

/// An epoll(7) set of descriptors that a loop waits for, with the result of the last wait. Its cost depends
/// on the number of ready descriptors, not of watched ones.
///
/// Used by one thread only, except for `wakeup`.
package final class DescriptorPoll {
  package struct Ready {
    package var descriptor: CInt
    package var canRead: Bool
    package var canWrite: Bool
    package var hasFailed: Bool
  }

  /// Ends a wait. May be signalled from any thread.
  package let wakeup: Wakeup
  private let set: CInt
  /// The limit of one wait. The next wait finds the rest.
  private var events = [epoll_event](repeating: epoll_event(), count: 256)
  private var readyCount = 0

  package init() throws(ThreadError) {
    wakeup = try Wakeup()
    set = epoll_create1(CInt(EPOLL_CLOEXEC))
    guard set >= 0 else { throw ThreadError(operation: "making an epoll set", code: errno) }
    watch(wakeup.descriptor, reading: true, writing: false)
  }

  deinit {
    close(set)
  }

  /// Watches a descriptor. Without reading and writing, only errors are reported.
  package func watch(_ descriptor: CInt, reading: Bool, writing: Bool) {
    let mask = (reading ? EPOLLIN.rawValue : 0) | (writing ? EPOLLOUT.rawValue : 0)
    var event = epoll_event(events: mask, data: epoll_data(fd: descriptor))
    if epoll_ctl(set, EPOLL_CTL_MOD, descriptor, &event) == 0 { return }
    // ENOENT: the descriptor is new, or the kernel removed a closed one with the same number. After any other
    // failure there are no reports; the time limit for a silent peer then applies.
    _ = epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event)
  }

  /// Removes a descriptor. A closed descriptor is already removed.
  package func forget(_ descriptor: CInt) {
    _ = epoll_ctl(set, EPOLL_CTL_DEL, descriptor, nil)
  }

  /// Blocks until a descriptor is ready, `wakeup` is signalled or the time is over. A signal's interruption
  /// ends the wait too.
  package func wait(milliseconds: CInt) {
    readyCount = Int(max(0, epoll_wait(set, &events, CInt(events.count), milliseconds)))
  }

  /// Returns the result of the last wait once.
  package func takeReady() -> [Ready] {
    guard readyCount > 0 else { return [] }
    var ready: [Ready] = []
    ready.reserveCapacity(readyCount)
    for event in events[..<readyCount] {
      if event.data.fd == wakeup.descriptor {
        wakeup.drain()
        continue
      }
      let failures = EPOLLERR.rawValue | EPOLLHUP.rawValue
      ready.append(
        Ready(
          descriptor: event.data.fd, canRead: event.events & EPOLLIN.rawValue != 0,
          canWrite: event.events & EPOLLOUT.rawValue != 0, hasFailed: event.events & failures != 0))
    }
    readyCount = 0
    return ready
  }
}
